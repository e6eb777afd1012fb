"""Words of the search are found as a Russian keyboard spells them."""

import sqlalchemy as sa

from callcenter.platform.storage.migration_steps import build_index

revision = "0082"
down_revision = "0081"


def upgrade() -> None:
    build_index(
        "ix_search_word_russified",
        "search_word",
        [sa.text("translate(word, 'әғқңөұүһі', 'агкноуухи')")],
    )
