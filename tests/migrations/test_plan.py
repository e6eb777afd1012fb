"""`callcenter migrate --plan` says what is pending, how long it takes, and who waits."""

from click.testing import CliRunner

from callcenter.cli import callcenter
from tests.migrations.test_migrations import at_step

RECORDINGS = """
    INSERT INTO appeal (id, number, channel, caller_kind, received_at)
    SELECT md5('appeal' || n)::uuid, lpad(n::text, 10, '0'), 'call', 'withheld', now()
    FROM generate_series(1, 50) AS n;
    INSERT INTO recording (id, appeal_id, spool_name, state, started_at)
    SELECT id, id, number, 'recording', received_at FROM appeal;
    ANALYZE;
    UPDATE pg_class SET reltuples = 4000000 WHERE relname = 'recording'
"""


def plan(database: str) -> list[str]:
    said = CliRunner().invoke(
        callcenter, ["migrate", "--plan"], env={"CALLCENTER_DATABASE_URL": database}
    )
    assert said.exit_code == 0, said.output
    return said.stdout.splitlines()


def test_a_plan_names_work_time_and_who_waits(empty_database: str) -> None:
    with at_step(empty_database, "0061") as (_, connection):
        connection.exec_driver_sql(RECORDINGS)
        connection.commit()
        lines = plan(empty_database)
        step = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    assert step == "0061"
    assert lines[0].startswith("0070  ")
    filled = next(each for each in lines if "UPDATE recording" in each)
    assert "4 000 000 rows of recording  about 2 min  writing recording waits" in filled
    checked = next(each for each in lines if "VALIDATE CONSTRAINT ck_recording_state" in each)
    assert "4 000 000 rows of recording  about 4 s  nobody waits" in checked
    assert "waits about 2 min at most" in lines[-1]


def test_a_plan_of_an_empty_database_has_no_work(empty_database: str) -> None:
    *_, total, waits = plan(empty_database)
    assert "less than a second of work" in total
    assert waits == "nobody waits longer than a moment"


def test_a_plan_of_this_version_is_empty(database: str) -> None:
    assert plan(database) == ["the database is at this version: nothing is pending"]
