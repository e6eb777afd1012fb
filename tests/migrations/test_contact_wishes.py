"""What records and the list of unwanted calls said before binds after the upgrade."""

from datetime import UTC, datetime
from uuid import UUID

from alembic import command

from callcenter.appeals.contact.rules import ContactMeans, ContactWish, judge
from tests.migrations.test_migrations import at_step

NOW = datetime.now(UTC)
CALLER = "+77012345667"
APPEAL = UUID("00000000-0000-4000-8000-000000000001")
BEFORE = """
    INSERT INTO appeal (id, number, channel, caller_kind, caller_number, received_at) VALUES
        ('00000000-0000-4000-8000-000000000001', '2600000014', 'call', 'number', '+77012345667',
        now());
    INSERT INTO record (appeal_id, version, stage, content, changed_at) VALUES
        ('00000000-0000-4000-8000-000000000001', 1, 'contact', '{
            "applicant.safe_ways": ["call", "email"], "reporter.safe_ways": ["none"],
            "affected1.safe_ways": "sms", "content": "t"}', now());
    INSERT INTO call_unwanted VALUES ('+77012345667', 'user:a', now() - interval '1 day'),
        ('+77010000000', 'user:a', now())
"""


def test_safe_ways_and_unwanted_calls_become_wishes(empty_database: str) -> None:
    with at_step(empty_database, "0075") as (made, connection):
        connection.exec_driver_sql(BEFORE)
        command.upgrade(made, "0076")
        rows = connection.exec_driver_sql(
            "SELECT person, number, channel, allowed, at, id, appeal_id FROM contact_wish"
        ).all()
        options = connection.exec_driver_sql(
            "SELECT jsonb_path_query_array(options, '$[*].code') FROM record_field"
            " WHERE code = 'safe_ways' ORDER BY version DESC LIMIT 1"
        ).scalar_one()
    said = [ContactWish(row[0], row[1], row[2], row[3], row[4], id=row[5]) for row in rows]

    def ways(person: str) -> set[str]:
        own = [each for each in said if each.person == person and each.number is None]
        return {each for each in ContactMeans if own and judge(own, each, NOW).allowed}

    assert ways("applicant") == {"call", "email"}
    assert ways("reporter") == set()
    assert ways("affected1") == {"sms"}
    numbers = {row[1]: (row[2], row[3], row[6]) for row in rows if row[1]}
    assert numbers == {
        CALLER: ("call", False, APPEAL),
        "+77010000000": ("call", False, None),
    }
    assert options == ["call", "sms", "email", "none", "letter"]
