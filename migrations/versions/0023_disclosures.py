"""What the authority is given, and the keys that it is encrypted to."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "authority_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False, comment="public key of age: age1..."),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column(
            "confirmed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="compared with the authority",
        ),
        sa.Column("confirmed_by", sa.Text(), nullable=True, comment="user:NAME, another"),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="nothing is encrypted to it any more",
        ),
        sa.CheckConstraint(
            "(confirmed_at IS NULL) = (confirmed_by IS NULL)",
            name=op.f("ck_authority_key_confirmed"),
        ),
        sa.CheckConstraint("confirmed_by <> added_by", name=op.f("ck_authority_key_two_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authority_key")),
        sa.UniqueConstraint("recipient", name=op.f("uq_authority_key_recipient")),
    )
    op.create_table(
        "disclosure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("demand_id", sa.Uuid(), nullable=False),
        sa.Column(
            "ordinal", sa.Integer(), nullable=False, comment="1 is the first release of the demand"
        ),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("prepared_by", sa.ARRAY(sa.Text()), nullable=False, comment="user:NAME"),
        sa.Column(
            "released_by", sa.Text(), nullable=False, comment="user:NAME, none of prepared_by"
        ),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "until", sa.DateTime(timezone=True), nullable=False, comment="to be taken until then"
        ),
        sa.Column(
            "built_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="since then the bundle is in the store",
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="of the bundle, hexadecimal"),
        sa.Column("bytes", sa.BigInteger(), nullable=True, comment="size of the bundle"),
        sa.Column(
            "taken_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it was handed out: once",
        ),
        sa.Column("taken_by", sa.Text(), nullable=True, comment="user:NAME"),
        sa.Column(
            "removed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the bundle left the store",
        ),
        sa.CheckConstraint(
            "(built_at IS NULL) = (sha256 IS NULL)", name=op.f("ck_disclosure_built")
        ),
        sa.CheckConstraint(
            "released_by <> ALL (prepared_by)", name=op.f("ck_disclosure_two_people")
        ),
        sa.CheckConstraint(
            "taken_at IS NULL OR built_at IS NOT NULL", name=op.f("ck_disclosure_taken")
        ),
        sa.ForeignKeyConstraint(
            ["demand_id"], ["demand.id"], name=op.f("fk_disclosure_demand_id_demand")
        ),
        sa.ForeignKeyConstraint(
            ["key_id"], ["authority_key.id"], name=op.f("fk_disclosure_key_id_authority_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disclosure")),
        sa.UniqueConstraint("demand_id", "ordinal", name=op.f("uq_disclosure_demand_id")),
    )
    op.create_index(
        "ix_disclosure_kept",
        "disclosure",
        ["released_at"],
        unique=False,
        postgresql_where="removed_at IS NULL",
    )
