"""Districts become a list; what the center had said of the question, and what was typed, stay."""

from alembic import command
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from tests.migrations.test_rolling import config


def test_the_districts_join_the_field_as_the_center_had_it(empty_database: str) -> None:
    engine = create_engine(
        make_url(empty_database).set(drivername="postgresql+psycopg"), poolclass=NullPool
    )
    made = config()
    with engine.connect() as connection:
        made.attributes["connection"] = connection
        command.upgrade(made, "0052")
        connection.exec_driver_sql(
            "INSERT INTO record_field (code, section, version, type, guard, kk, ru, en, position,"
            " options, active, built_in, author, at)"
            " SELECT code, section, 2, type, guard, 'Қай аудан', ru, en, 65, options, active,"
            " built_in, 'user:head', now() FROM record_field WHERE code = 'district'"
        )
        command.upgrade(made, "0058")
        query = (
            "SELECT version, type, guard, kk, position, active, built_in,"
            " jsonb_array_length(options), options -> 0 ->> 'code' FROM record_field"
            " WHERE code = 'district' ORDER BY version DESC LIMIT 1"
        )
        # Still text: a process of the version before shows and keeps what is there, and codes too.
        expected = (3, "text", "open", "Қай аудан", 65, True, True, 228, "101000000")
        assert connection.exec_driver_sql(query).one() == expected
