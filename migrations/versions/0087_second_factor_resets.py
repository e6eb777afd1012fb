"""Two administrators reset a second factor on the pages."""

import sqlalchemy as sa
from alembic import op

revision = "0087"
down_revision = "0086"

TABLE = "second_factor_reset"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="asked, approved, refused or done: the factor is gone",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False, comment="user:NAME"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), comment="user:NAME, another one"),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text(), comment="the reason of who decided"),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'refused', 'done')", name=op.f(f"ck_{TABLE}_state")
        ),
        sa.CheckConstraint(
            "(state = 'asked') = (decided_by IS NULL)", name=op.f(f"ck_{TABLE}_decided")
        ),
        sa.CheckConstraint("asked_by <> decided_by", name=op.f(f"ck_{TABLE}_two_persons")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["web_user.id"], name=op.f(f"fk_{TABLE}_user_id_web_user")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index(
        f"uq_{TABLE}_asked",
        TABLE,
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
