"""Rights of each process in the database: the least that it works with.

`callcenter migrate` brings the database to exactly these, for the roles that exist. A right that a
process needs no more is taken out a version later: the version before works meanwhile.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, text

from callcenter.platform.storage.database_roles import DatabaseRole

#: s SELECT, i INSERT, u UPDATE, d DELETE, on the columns of `COLUMNS` alone where it names them.
RIGHTS = """
table                       controller worker web

appeal                      siu        siu    siu
appeal_counter              siu        siu    siu
appeal_event                si         si     si
outgoing_call               siu        siu    siu
call_unwanted               sid        sid    sid
contact_wish                sid        siud   siud
promise                     siu        su     su
recording                   siu        siu    su
recording_hold              -          siu    siu
recording_erasure           -          su     siu
sealed_number               i          sd     sd
number_opening              -          s      siu
blocked_number              s          sd     siu
caller_plan                 s          sd     siu
ledger_position             -          siu    -
ledger_call                 -          siud   -
refused_call                -          siu    s

record                      s          siu    siu
record_change               -          siu    siu
record_move                 -          siu    siu
record_draft                -          sd     siud
record_attachment           -          siu    siu
record_letter               -          su     siu
record_letter_change        -          su     siu
oral_contact                -          su     siu
psychological_note          -          su     siu
psychological_talk          -          sd     siud
record_reminder             -          sud    siud
record_identifier           -          sid    sid
record_search               s          siud   siud
search_word                 -          siud   siud
record_field                -          s      siu
record_preset               -          -      siu
law_term                    -          s      siu
masking                     -          su     siu
masked                      -          siu    siu
saved_view                  -          -      siud
status_attempt              siu        sd     siu

demand                      -          su     siu
demand_scan                 -          s      si
demand_step                 -          si     si
demand_recording            -          s      siu
demand_counter              -          -      siu
authority_key               -          su     siu
authority_address           -          s      siud
demand_notice               -          siu    si
signing_key                 -          si     si
disclosure                  -          su     siu

consultant                  s          s      siu
consultant_state            s          si     s
consultant_skill            s          s      siud
pause_reason                s          s      siu
skill                       s          s      siu
browser_telephone           s          -      siu

calendar_year               -          s      si

web_user                    s          s      siu
web_identity                -          -      siud
web_session                 s          sud    siud
sign_in_entrance            -          sud    siud
invitation                  -          -      siud
second_factor               -          -      siud
recovery_code               -          -      siud
second_factor_reset         -          -      siu
sign_in_attempt             -          sud    siud
sign_in_device              -          -      siud
refusal_count               -          sd     siud
machine                     -          -      siu
answered_request            -          sd     siud
audit_entry                 si         si     si
secret_fingerprint          -          sid    sid

procrastinate_jobs          si         siud   si
procrastinate_events        i          siud   i
procrastinate_workers       -          siud   -
procrastinate_periodic_defers -        siud   -
alembic_version             -          -      -
"""
#: No process but the one that needs them reads passwords, sealed numbers, or all of the log. A lock
#: on rows (FOR UPDATE) takes the right to update a column; that a job waits already, procrastinate
#: learns from a detail that PostgreSQL shows to those who may read the lock.
COLUMNS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("controller", "audit_entry", "s"): ("id", "hash"),
    ("controller", "procrastinate_jobs", "s"): ("id", "queueing_lock"),
    ("controller", "web_session", "s"): ("token_hash", "created_at", "seen_at"),
    ("controller", "web_user", "s"): ("consultant_id", "active", "entitled", "name", "role"),
    ("web", "procrastinate_jobs", "s"): ("id", "queueing_lock"),
    ("worker", "sealed_number", "s"): ("appeal_id", "until"),
    ("worker", "sign_in_attempt", "s"): ("scope", "key", "last_at"),
    ("worker", "sign_in_attempt", "u"): ("last_at",),
    ("worker", "sign_in_entrance", "s"): ("token_hash", "created_at"),
    ("worker", "sign_in_entrance", "u"): ("created_at",),
    ("worker", "web_session", "s"): ("token_hash", "created_at", "seen_at"),
    ("worker", "web_session", "u"): ("seen_at",),
    ("worker", "web_user", "s"): (
        *("id", "name", "role", "active", "created_at", "consultant_id", "full_name", "position"),
        "entitled",
    ),
}

PRIVILEGES = {"s": "SELECT", "i": "INSERT", "u": "UPDATE", "d": "DELETE"}


class Right(NamedTuple):
    """A right of a role on a table or sequence, or on one column of it."""

    role: str
    relation: str
    privilege: str
    column: str = ""


def decided_tables() -> frozenset[str]:
    """The tables for which it is decided what each process may do."""
    return frozenset(table for table, _ in _rows())


def rights() -> frozenset[Right]:
    """All rights on tables."""
    return frozenset(_rights())


def apply_rights(connection: Connection) -> None:
    """Bring the database to these rights, within the transaction of its owner.

    What is not there, roles, tables, columns, is left out. Repeatable; it locks no table.
    """
    if connection.scalar(_CHANGES_AUDIT):  # as after a restore, which brings no rights back
        connection.exec_driver_sql(
            "REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM PUBLIC, CURRENT_USER"
        )
    excess, missing = find_differences(connection)
    for each in sorted(excess):
        connection.exec_driver_sql(f"REVOKE {_what(each)} FROM {each.role}")
    for each in sorted(missing):
        connection.exec_driver_sql(f"GRANT {_what(each)} TO {each.role}")


def find_differences(connection: Connection) -> tuple[frozenset[Right], frozenset[Right]]:
    """Rights beyond these, and those of them that are missing, of the roles that exist."""
    roles = set(connection.scalars(_ROLES, {"names": [role.value for role in DatabaseRole]}))
    columns = {(table, column) for table, column in connection.execute(_COLUMNS)}
    columns |= {(table, "") for table, _ in columns}
    decided = {
        each for each in rights() if each.role in roles and (each.relation, each.column) in columns
    }
    inserts = {(each.role, each.relation) for each in decided if each.privilege == "INSERT"}
    decided |= {
        Right(role, sequence, "USAGE")
        for table, sequence in connection.execute(_SEQUENCES)
        for role in roles
        if (role, table) in inserts
    }
    found = {Right(*row) for row in connection.execute(_GRANTED, {"names": sorted(roles)})}
    return frozenset(found - decided), frozenset(decided - found)


def _rows() -> Iterator[tuple[str, Mapping[str, str]]]:
    header, *rows = (line.split() for line in RIGHTS.splitlines() if line)
    for table, *cells in rows:
        yield table, dict(zip(header[1:], cells, strict=True))


def _rights() -> Iterator[Right]:
    for table, cells in _rows():
        for process, letters in cells.items():
            role = DatabaseRole[process.upper()].value
            for letter in letters.replace("-", ""):
                for column in COLUMNS.get((process, table, letter), ("",)):
                    yield Right(role, table, PRIVILEGES[letter], column)


def _what(right: Right) -> str:
    column = f' ("{right.column}")' if right.column else ""
    kind = "SEQUENCE" if right.privilege == "USAGE" else "TABLE"
    return f'{right.privilege}{column} ON {kind} "{right.relation}"'


#: The owner could give it back, and a superuser needs none: docs/decisions/0019.
_CHANGES_AUDIT = text(
    """
    SELECT count(*) > 0
    FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
    WHERE pg_class.oid = to_regclass('audit_entry') AND grantee IN (0, relowner)
        AND privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
    """
)
_ROLES = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
_COLUMNS = text(
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = current_schema()"
)
#: Those of `serial` columns: an identity asks for no right.
_SEQUENCES = text(
    """
    SELECT owner.relname, sequence.relname
    FROM pg_class AS sequence
    JOIN pg_depend ON objid = sequence.oid AND classid = 'pg_class'::regclass AND deptype = 'a'
    JOIN pg_class AS owner ON owner.oid = refobjid
    WHERE sequence.relkind = 'S' AND sequence.relnamespace = current_schema()::regnamespace
    """
)
_GRANTED = text(
    """
    SELECT rolname, relname, privilege_type, ''
    FROM pg_class, aclexplode(relacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE rolname = ANY(:names) AND relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT rolname, relname, privilege_type, attname
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid,
        aclexplode(attacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE rolname = ANY(:names) AND relnamespace = current_schema()::regnamespace
    """
)
