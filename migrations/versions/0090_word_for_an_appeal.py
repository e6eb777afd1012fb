"""The form calls an appeal жолданым in Kazakh, as the law and all other pages do.

A center that has said it otherwise keeps its words. One row: nobody waits for it.
"""

from alembic import op

revision = "0090"
down_revision = "0089"


def upgrade() -> None:
    op.execute(
        """
        INSERT INTO record_field
        SELECT code, section, version + 1, type, guard, 'Жолданымның мәні', ru, en, position,
            options, active, built_in, 'system:upgrade', now()
        FROM record_field AS field
        WHERE code = 'content' AND section = 'appeal' AND kk = 'Өтініштің мәні'
            AND version = (
                SELECT max(version) FROM record_field
                WHERE code = field.code AND section = field.section
            )
        """
    )
