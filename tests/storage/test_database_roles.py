"""Each process works in the database with the least rights."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from callcenter.appeals.record import personal_data
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import (
    PORTAL_CONNECTIONS,
    DatabaseRole,
    in_role,
    statements,
)
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import enqueue_once
from callcenter.platform.storage.table_rights import (
    FunctionRight,
    Right,
    TableRights,
    apply_rights,
    rights,
)
from tests.services import opened_as

CONTROLLER, WORKER, WEB, PORTAL = DatabaseRole

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
GRANTED = """
    SELECT grantee, table_name, privilege_type, '' FROM information_schema.role_table_grants
    WHERE grantee LIKE 'callcenter\\_%'
    UNION
    SELECT grantee, table_name, privilege_type, column_name
    FROM information_schema.column_privileges AS whole WHERE grantee LIKE 'callcenter\\_%'
        AND NOT EXISTS (
            SELECT FROM information_schema.role_table_grants AS granted
            WHERE granted.grantee = whole.grantee AND granted.table_name = whole.table_name
                AND granted.privilege_type = whole.privilege_type
        )
    UNION
    SELECT rolname, pg_proc.oid::regprocedure::text, privilege_type, ''
    FROM pg_proc, aclexplode(proacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE rolname LIKE 'callcenter\\_%'
"""
#: Tables of which the role that asks may read or change anything.
TOUCHED = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND (
        has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE, REFERENCES')
        OR has_table_privilege(oid, 'DELETE, TRUNCATE, TRIGGER')
    )
"""
#: Functions that run with the rights of their owner.
AS_OWNER = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE prosecdef AND pronamespace = 'public'::regnamespace
"""

#: What no process may do, whatever was done to it.
NOBODY = (
    "UPDATE audit_entry SET who = 'user:nobody'",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry",
    "ALTER TABLE audit_entry DISABLE TRIGGER append_only",
    "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
    "DROP TABLE audit_entry",
    "CREATE OR REPLACE FUNCTION audit_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql"
    " AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TABLE ours (id int)",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    "COPY appeal TO PROGRAM 'cat'",
    "COPY appeal TO '/dev/null'",
    "ALTER TABLE audit_entry OWNER TO CURRENT_USER",
    "CREATE ROLE ours LOGIN",
    "ALTER ROLE postgres PASSWORD 'ours'",
    "SELECT rolpassword FROM pg_authid",
    "DELETE FROM appeal",
    "DELETE FROM appeal_event",
    "UPDATE appeal_event SET kind = 'answered'",
    "DELETE FROM recording",
    "DELETE FROM masked",
    "UPDATE alembic_version SET version_num = '0001'",
)
#: What a controller is kept from, which speaks with strangers.
OUTSIDE_CALLS = (
    "SELECT action, subject FROM audit_entry",
    "SELECT password_hash FROM web_user",
    "INSERT INTO web_session (token_hash, user_id, created_at, seen_at)"
    " VALUES ('', gen_random_uuid(), now(), now())",
    "SELECT secret FROM second_factor",
    "SELECT token_hash FROM machine",
    "SELECT sealed FROM sealed_number",
    "SELECT fingerprint FROM secret_fingerprint",
    "SELECT sealed FROM record_change",
    "UPDATE record SET content = '{}'",
    "SELECT args FROM procrastinate_jobs",
    "SELECT sha256 FROM disclosure",
    "ALTER ROLE callcenter_web PASSWORD 'ours'",
    "UPDATE recording_hold SET reason = ''",
    "DELETE FROM blocked_number",
    "UPDATE consultant SET digest = ''",
)
OF_WORKER = (
    "SELECT password_hash FROM web_user",
    "INSERT INTO web_session (token_hash, user_id, created_at, seen_at)"
    " VALUES ('', gen_random_uuid(), now(), now())",
    "UPDATE web_session SET user_id = gen_random_uuid()",
    "UPDATE web_user SET role = 'head'",
    "SELECT secret FROM second_factor",
    "SELECT sealed FROM sealed_number",
    "INSERT INTO machine (name, token_hash) VALUES ('portal', '')",
    "UPDATE number_opening SET state = 'approved'",
    "INSERT INTO recording_erasure DEFAULT VALUES",
)
OF_WEB = (
    "SELECT args FROM procrastinate_jobs",
    "DELETE FROM procrastinate_jobs",
    "INSERT INTO recording DEFAULT VALUES",
    "DELETE FROM ledger_call",
    "DELETE FROM demand_step",
    "UPDATE signing_key SET told_at = now()",
    "SELECT sealed FROM portal_message",
    "SELECT sealed_copy FROM portal_message",
    "UPDATE portal_message SET sealed = ''",
)
#: What the portal is kept from, which speaks with everybody; beside all tables, below.
OF_PORTAL = (
    "SELECT * FROM portal_message",
    "SELECT last FROM appeal_counter",
    "SELECT nextval('procrastinate_jobs_id_seq')",
    "CREATE TRIGGER ours BEFORE INSERT ON portal_message"
    " EXECUTE FUNCTION audit_entry_is_append_only()",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_export(lo_creat(-1), '/tmp/ours')",
    "ALTER FUNCTION portal_read_copies SECURITY INVOKER",
)


#: Who and what each process may be the source of in the audit log.
OF_ITS_OWN = {
    CONTROLLER: {("system:controller-1", "controller:order:taken")},
    WORKER: {
        ("system:demands", "web:demand:searched"),
        ("system:reconciliation", "command:recording:adopted"),
    },
    WEB: {
        ("user:dana", "web:recording:listened"),
        ("anonymous", "web:session:refused"),
        ("system:demands", "web:demand:searched"),
    },
    PORTAL: set(),
}
#: Nobody but a command of the owner: another's session, an account of the operating system.
FORGED = {
    ("user:dana", "controller:order:taken"),
    ("user:dana", "command:user:password_set"),
    ("system:root", "command:user:password_set"),
    ("consultant:201", "telephone:recording:listened"),
}


@pytest.fixture
def as_owner(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def test_each_table_has_a_decision(as_owner: psycopg.Connection) -> None:
    decided = {each.key for each in offers(TableRights)}
    assert {name for (name,) in as_owner.execute(TABLES)} == decided


def test_the_database_has_exactly_the_decided_rights(as_owner: psycopg.Connection) -> None:
    granted = {Right(*row) for row in as_owner.execute(GRANTED)}
    assert granted == rights()


def test_pages_and_worker_may_erase_every_part_of_personal_data() -> None:
    granted = rights()
    for part in personal_data.parts():
        privilege = "DELETE" if part.erased is None else "UPDATE"
        for role in (WEB, WORKER):
            whole = Right(role, part.table.name, privilege)
            columns = {whole._replace(column=each) for each in part.erased or ("",)}
            assert whole in granted or columns <= granted


def test_columns_with_rights_of_their_own_are_granted() -> None:
    used = {(right.relation, right.column) for right in rights() if right.column}
    named = {
        (each.key, column)
        for each in offers(TableRights)
        for columns in each.columns.values()
        for column in columns
    }
    assert used == named


@pytest.mark.parametrize(
    ("role", "more"),
    [
        (CONTROLLER, OUTSIDE_CALLS),
        (WORKER, OF_WORKER),
        (WEB, OF_WEB),
        (PORTAL, (*OUTSIDE_CALLS, *OF_WORKER, *OF_WEB, *OF_PORTAL)),
    ],
)
def test_a_process_is_refused_what_it_needs_not(
    settings: Settings, database: str, role: DatabaseRole, more: Sequence[str]
) -> None:
    done = []
    ours = in_role(settings, role).database
    with psycopg.connect(ours, autocommit=True) as connection:
        for statement in (*NOBODY, *more):
            try:
                connection.execute(statement.encode())
                done.append(statement)
            except InsufficientPrivilege:
                continue
    assert done == []


@pytest.mark.parametrize("role", DatabaseRole)
def test_a_process_adds_audit_entries_of_its_own_alone(
    settings: Settings, database: str, as_owner: psycopg.Connection, role: DatabaseRole
) -> None:
    """A controller or worker that was taken over forges none in the name of a person."""
    entry = (
        "INSERT INTO audit_entry (id, at, who, action, subject, detail, hash)"
        " VALUES (%s, now(), %s, %s, '', '{}', sha256(''))"
    )
    added = set()
    tried = sorted(FORGED.union(*OF_ITS_OWN.values()))
    with psycopg.connect(in_role(settings, role).database, autocommit=True) as connection:
        for number, (who, action) in enumerate(tried):
            try:
                connection.execute(entry, (number, who, action))
                added.add((who, action))
            except InsufficientPrivilege:
                continue
    assert added == OF_ITS_OWN[role]
    for number, (who, action) in enumerate(tried):
        as_owner.execute(entry, (1000 + number, who, action))


@pytest.mark.parametrize("role", [CONTROLLER, WORKER, WEB])
async def test_a_job_that_waits_is_enqueued_once(
    settings: Settings, as_owner: psycopg.Connection, role: DatabaseRole
) -> None:
    async with opened_as(role, settings) as engine:
        for _ in range(2):
            async with unit_of_work(engine) as connection:
                await enqueue_once(connection, "audit.sign_head")
    assert as_owner.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (1,)


def test_the_portal_calls_its_functions_and_touches_no_table(
    settings: Settings, database: str, as_owner: psycopg.Connection
) -> None:
    with psycopg.connect(in_role(settings, PORTAL).database) as connection:
        assert connection.execute(TOUCHED).fetchall() == []
    functions = {name for (name,) in as_owner.execute(AS_OWNER)}
    decided = offers(FunctionRight)
    assert functions == {each.function for each in decided}
    assert [each.role for each in decided].count(PORTAL) == 5
    for role in DatabaseRole:
        with psycopg.connect(in_role(settings, role).database) as connection:
            may = {
                each
                for each in functions
                if connection.execute(
                    "SELECT has_function_privilege(%s, 'EXECUTE')", (each,)
                ).fetchall()[0][0]
            }
        assert may == {each.function for each in decided if each.role is role}


def test_a_table_of_the_portals_own_deceives_no_function(
    settings: Settings, database: str, as_owner: psycopg.Connection
) -> None:
    """What runs as the owner finds names in the schema, whatever else has these names."""
    as_owner.execute(f"GRANT TEMPORARY ON DATABASE {as_owner.info.dbname} TO PUBLIC".encode())
    with psycopg.connect(in_role(settings, PORTAL).database, autocommit=True) as connection:
        for table in ("appeal_counter", "portal_message", "record", "written_contact"):
            connection.execute(f"CREATE TEMP TABLE {table} (LIKE pg_class)".encode())
        ids = "00000000-0000-0000-0000-000000000001"
        called = "SELECT * FROM portal_receive(%s, %s, false, 'x')"
        [number] = connection.execute(called.encode(), (ids, ids)).fetchall()
        given = "SELECT portal_give_receipt(%s, 'proof', 'age1', 'locked', 'copy')"
        assert connection.execute(given.encode(), (ids,)).fetchone() == (True,)
        read = "SELECT * FROM portal_read_newest_copies(%s::smallint, %s, 'proof', NULL)"
        assert len(connection.execute(read.encode(), number).fetchall()) == 1
    assert as_owner.execute("SELECT count(*) FROM portal_message").fetchone() == (1,)


def test_the_portal_takes_no_disk_and_few_connections(
    settings: Settings, database: str, as_owner: psycopg.Connection
) -> None:
    url = make_url(database).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).begin() as connection:
        apply_rights(connection)
    ours = in_role(settings, PORTAL).database
    with psycopg.connect(ours) as thief, pytest.raises(InsufficientPrivilege):
        thief.execute("CREATE TEMP TABLE ours (id int)")
    with ExitStack() as held, pytest.raises(psycopg.OperationalError, match="too many connections"):
        _hold(held, ours, PORTAL_CONNECTIONS + 1)


def _hold(held: ExitStack, url: str, count: int) -> None:
    for _ in range(count):
        held.enter_context(psycopg.connect(url))


def test_a_limit_that_an_operator_set_stays(settings: Settings) -> None:
    """Roles are altered again with each new password."""
    limited = [each for each in statements(settings) if "CONNECTION LIMIT" in each]
    assert [each.split()[2] for each in limited] == [f'"{PORTAL}"']


def test_migrating_again_revokes_other_rights(database: str, as_owner: psycopg.Connection) -> None:
    as_owner.execute("GRANT DELETE ON audit_entry, appeal TO callcenter_web")
    as_owner.execute("GRANT UPDATE (role) ON web_user TO callcenter_worker")
    as_owner.execute("REVOKE SELECT ON appeal FROM callcenter_controller")
    # A restore makes functions anew, which everybody may call then.
    as_owner.execute("GRANT EXECUTE ON FUNCTION portal_read_copies TO PUBLIC, callcenter_web")
    as_owner.execute("REVOKE EXECUTE ON FUNCTION portal_receive FROM callcenter_portal")
    as_owner.execute("GRANT UPDATE ON audit_entry TO CURRENT_USER")
    url = make_url(database).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).begin() as connection:
        apply_rights(connection)
    assert {Right(*row) for row in as_owner.execute(GRANTED)} == rights()
    public = "SELECT has_function_privilege('callcenter_web', %s, 'EXECUTE')"
    reading = "portal_read_copies(smallint,integer,bytea)"
    assert as_owner.execute(public, (reading,)).fetchone() == (False,)
    owner = as_owner.execute(
        "SELECT privilege_type FROM information_schema.role_table_grants"
        " WHERE table_name = 'audit_entry' AND grantee = CURRENT_USER"
    )
    assert {"UPDATE", "DELETE", "TRUNCATE"}.isdisjoint(name for (name,) in owner)
