"""Tables of the storage itself."""

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, func

from callcenter.platform.storage.metadata import metadata

secret_fingerprint = Table(
    "secret_fingerprint",
    metadata,
    Column("secret", Text, primary_key=True, comment="as in `callcenter keys accept NAME`"),
    Column("fingerprint", LargeBinary, primary_key=True, comment="scrypt; empty: not known yet"),
    Column("salt", LargeBinary, nullable=False, comment="the same for all of a secret"),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
