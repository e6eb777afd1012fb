"""Rights of each process in the database: rooms offer the least that it works with.

`callcenter migrate` brings the database to exactly these, for the roles that exist. A right that a
process needs no more is taken out a version later: the version before works meanwhile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, Table, text

from callcenter.platform.core.registry import offers
from callcenter.platform.storage.database_roles import DatabaseRole

PRIVILEGES = {"s": "SELECT", "i": "INSERT", "u": "UPDATE", "d": "DELETE"}


class Right(NamedTuple):
    """A right of a role on a table or sequence, or on one column of it, or on a function."""

    role: str
    relation: str
    privilege: str
    column: str = ""


@dataclass(frozen=True, slots=True)
class TableRights:
    """Extension point: what each process may do with a table of a room.

    Letters of PRIVILEGES, by process. `columns` are those alone on which a process has a right, by
    process and letter: no process but the one that needs them reads passwords, sealed numbers, or
    all of the log. A lock on rows (FOR UPDATE) takes the right to update a column.
    """

    table: Table | str  #: its name where no room made it
    controller: str = ""
    worker: str = ""
    web: str = ""
    columns: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of the table, on which one room decides."""
        return self.table if isinstance(self.table, str) else self.table.name

    def rights(self) -> Iterator[Right]:
        """Each right, on the table or on its columns."""
        for role in (DatabaseRole.CONTROLLER, DatabaseRole.WORKER, DatabaseRole.WEB):
            process = role.name.lower()
            for letter in getattr(self, process):
                for column in self.columns.get((process, letter), ("",)):
                    yield Right(role.value, self.key, PRIVILEGES[letter], column)


@dataclass(frozen=True, slots=True)
class FunctionRight:
    """Extension point: the one process that may call a function, which runs as its owner.

    The function is written as PostgreSQL does (`name(type,type)`). PUBLIC, which may call any
    function at first, may not call this one.
    """

    function: str
    role: DatabaseRole

    @property
    def key(self) -> str:
        """The function, on which one room decides."""
        return self.function


def rights() -> frozenset[Right]:
    """All rights on tables and functions."""
    on_tables = (right for each in offers(TableRights) for right in each.rights())
    on_functions = (
        Right(each.role.value, each.function, "EXECUTE") for each in offers(FunctionRight)
    )
    return frozenset((*on_tables, *on_functions))


def apply_rights(connection: Connection) -> None:
    """Bring the database to these rights, within the transaction of its owner.

    What is not there, roles, tables, columns, is left out. Repeatable; it locks no table.
    """
    if connection.scalar(_CHANGES_AUDIT):  # as after a restore, which brings no rights back
        connection.exec_driver_sql(
            "REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM PUBLIC, CURRENT_USER"
        )
    if connection.scalar(_TEMPORARY):  # nobody needs them, and they fill the disk
        database = connection.dialect.identifier_preparer.quote(
            connection.scalar(text("SELECT current_database()"))
        )
        connection.exec_driver_sql(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
    functions = [each.function for each in offers(FunctionRight)]
    for function in connection.scalars(_PUBLIC, {"functions": functions}):
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
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
    columns |= {(function, "") for function in connection.scalars(_FUNCTIONS)}
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


def _what(right: Right) -> str:
    if right.privilege == "EXECUTE":
        return f"EXECUTE ON FUNCTION {right.relation}"
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
#: Tables of a session, which everybody may make in a database that is new or restored.
_TEMPORARY = text(
    """
    SELECT count(*) > 0
    FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
    WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')
        AND grantee = 0 AND privilege_type = 'TEMPORARY'
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
_FUNCTIONS = text(
    "SELECT oid::regprocedure::text FROM pg_proc"
    " WHERE pronamespace = current_schema()::regnamespace"
)
#: After a restore, too, which brings no rights back.
_PUBLIC = text(
    """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace
        AND oid::regprocedure::text = ANY(:functions)
        AND EXISTS (
            SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0
        )
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
    UNION ALL
    SELECT rolname, pg_proc.oid::regprocedure::text, privilege_type, ''
    FROM pg_proc, aclexplode(proacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE rolname = ANY(:names) AND pronamespace = current_schema()::regnamespace
    """
)
