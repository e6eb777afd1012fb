"""Table of requests to reset a second factor, which two administrators decide."""

from sqlalchemy import Column, ForeignKey, Index, Table, Uuid

from callcenter.platform.identity.approvals import approval_columns
from callcenter.platform.storage.metadata import metadata

second_factor_reset = Table(
    "second_factor_reset",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("web_user.id"), nullable=False),
    *approval_columns("done", ": the factor is gone"),
    Index(
        "uq_second_factor_reset_asked", "user_id", unique=True, postgresql_where="state = 'asked'"
    ),
)
