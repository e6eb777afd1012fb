"""Numbers of appeals have an eighth digit of the sequence once a year has used up those of seven.

Rows that are there are checked by 0084, which keeps nobody from writing.
"""

from alembic import op

revision = "0075"
down_revision = "0074"


def upgrade() -> None:
    op.drop_constraint("ck_appeal_number", "appeal")
    op.create_check_constraint(
        op.f("ck_appeal_number"),
        "appeal",
        "number ~ '^[0-9]{10,11}$'",
        postgresql_not_valid=True,
    )
    op.alter_column("appeal", "number", comment="ten or eleven digits")
    op.alter_column("demand", "appeal_number", comment="what is demanded: digits")
