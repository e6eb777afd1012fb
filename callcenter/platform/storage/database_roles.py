"""Database roles of the processes: each logs in as its own, with its own password.

A password is a file of `var/secrets` in the form of libpq's password file, so that it is in no
URL. What a role may do, rooms offer (`table_rights`).
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.secrets import write_once
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.owner_connection import owner_connection

LOCK = 0x726F6C6573  #: advisory lock of whoever makes roles: "roles" in ASCII
UNPRIVILEGED = (
    "the owner of the database may make no roles: let a superuser run what "
    "`callcenter database-roles --sql` prints"
)
#: Connections of all its sessions: two portals that replace each other, and one more.
PORTAL_CONNECTIONS = 30
ITERATIONS = 4096  #: of PBKDF2, as PostgreSQL has it; the password has 256 random bits


class DatabaseRole(StrEnum):
    """Role that a process logs in as. Its owner, who migrates, is no process."""

    CONTROLLER = "callcenter_controller"
    WORKER = "callcenter_worker"
    WEB = "callcenter_web"
    PORTAL = "callcenter_portal"


def password_file(folder: Path, role: str) -> Path:
    """The password file of a role in the folder of secrets."""
    return folder / f"database_{role.removeprefix('callcenter_')}"


def in_role(settings: Settings, role: DatabaseRole) -> Settings:
    """The settings of a process that logs in as this role.

    They stay as they are where this process can read no password of the role: it was given the URL
    of the role, or a server of the operator's own has no roles yet, and `callcenter check` says so.
    """
    file = password_file(settings.secrets_folder, role)
    if not os.access(file, os.R_OK):
        return settings
    url = make_url(settings.database)
    ours = URL.create(
        url.drivername,
        username=role.value,
        host=url.host,
        port=url.port,
        database=url.database,
        query={**url.query, "passfile": str(file)},
    )
    # libpq, unlike forms, takes a plus for itself.
    text = ours.render_as_string(hide_password=False).replace("+", "%20")
    return settings.model_copy(update={"database_url": SecretStr(text)})


def make_password(folder: Path, role: str) -> bool:
    """Make the password of a role unless it is there; whether it was made. Raises OSError."""
    file = password_file(folder, role)
    if file.exists():
        return False
    write_once(file, f"*:*:*:{role}:{secrets.token_urlsafe(32)}\n")
    return True


def make_roles(settings: Settings, *, replaces_passwords: bool) -> list[DatabaseRole]:
    """Make the roles that cannot log in yet, as the owner; returns those. It blocks.

    Repeatable, also beside another. Raises InvalidRequest when the owner may not make roles, a role
    may do more than log in, or a role that another copy made has a password that is not here, if
    this `replaces_passwords` not; DependencyUnavailable.
    """
    folder = settings.secrets_folder
    made = [role for role in DatabaseRole if make_password(folder, role)]
    missing = [role for role in DatabaseRole if not _can_log_in(settings, role)]
    with owner_connection(settings, unprivileged=UNPRIVILEGED) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        existing = _existing(connection)
        foreign = [role for role in missing if role in existing and role in made]
        if foreign and not replaces_passwords:
            for role in made:
                password_file(folder, role).unlink()
            raise InvalidRequest(
                f"{', '.join(foreign)} are there already, with passwords of another copy: "
                f"copy its {folder}/database_* here, or take --new-passwords, which ends its access"
            )
        for role in missing:
            for statement in _statements(folder, role, exists=role in existing):
                connection.execute(statement)
        _refuse_powers(connection)
    return missing


def statements(settings: Settings) -> list[str]:
    """The statements that make all roles, for a superuser. They hold no password in plain."""
    for role in DatabaseRole:
        make_password(settings.secrets_folder, role)
    return [
        each.as_string() + ";"
        for role in DatabaseRole
        for each in _statements(settings.secrets_folder, role, exists=False)
    ]


def password_verifier(password: str, salt: bytes) -> str:
    """Verifier of a password, as PostgreSQL stores it (SCRAM-SHA-256, RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(each).decode() for each in (salt, client, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(ITERATIONS, *parts)


def verifier_of(folder: Path, role: str) -> str:
    """The verifier of a role's password file, with a new salt. Raises OSError."""
    password = password_file(folder, role).read_text().strip().rpartition(":")[2]
    return password_verifier(password, secrets.token_bytes(16))


def _statements(folder: Path, role: DatabaseRole, *, exists: bool) -> Sequence[sql.Composed]:
    name, verifier = sql.Identifier(role.value), sql.Literal(verifier_of(folder, role))
    made = [] if exists else [sql.SQL("CREATE ROLE {}").format(name)]
    login = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, verifier)
    if role is DatabaseRole.PORTAL:  # of others a limit is the operator's to set
        login += sql.SQL(" CONNECTION LIMIT {}").format(sql.Literal(PORTAL_CONNECTIONS))
    return [*made, login]


def _can_log_in(settings: Settings, role: DatabaseRole) -> bool:
    try:
        ours = in_role(settings, role)
        with psycopg.connect(make_conninfo(ours.database, connect_timeout=5)):
            return True
    except psycopg.OperationalError:
        return False


def _existing(connection: psycopg.Connection) -> set[str]:
    names = [role.value for role in DatabaseRole]
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (names,))
    return {name for (name,) in rows}


def _refuse_powers(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        """
        SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND (
            rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
            OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
        )
        """,
        ([role.value for role in DatabaseRole],),
    ).fetchall()
    if rows:
        raise InvalidRequest(
            f"{', '.join(name for (name,) in rows)} may do more than log in: let a superuser take "
            "its attributes and memberships away"
        )
