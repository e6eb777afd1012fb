"""The database knows by fingerprints which secrets it was written with (decision 81).

Where data need a secret already, a row without a fingerprint says so: it is not generated then, and
the one that is there when a process starts next is taken for right.
"""

import sqlalchemy as sa
from alembic import op

revision = "0077"
down_revision = "0076"

#: What the data of each secret are, by its name.
DATA = {
    "register": "SELECT FROM record WHERE sealed IS NOT NULL",
    "register_search": "SELECT FROM record_identifier",
    "second_factor": "SELECT FROM second_factor",
    "disclosures": "SELECT FROM signing_key",
    "recordings": "SELECT FROM recording WHERE sealed_to IS NOT NULL",
}


def upgrade() -> None:
    op.create_table(
        "secret_fingerprint",
        sa.Column("secret", sa.Text(), nullable=False, comment="see bootstrap.data_secrets"),
        sa.Column(
            "fingerprint", sa.LargeBinary(), nullable=False, comment="scrypt; empty: not known yet"
        ),
        sa.Column("salt", sa.LargeBinary(), nullable=False, comment="the same for all of a secret"),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("secret", "fingerprint", name=op.f("pk_secret_fingerprint")),
    )
    for secret, data in DATA.items():
        op.execute(
            "INSERT INTO secret_fingerprint (secret, fingerprint, salt)"
            f" SELECT '{secret}', '', '' WHERE EXISTS ({data})"
        )
