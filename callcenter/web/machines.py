"""Programs that may ask without a person, such as the portal: each is known by its token."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.web.store import check_name, hash_of
from callcenter.web.tables import machine


@dataclass(frozen=True, slots=True)
class Machine:
    """A program that is known, or was."""

    name: str
    created_at: datetime
    seen_at: datetime | None
    revoked_at: datetime | None


async def add(connection: AsyncConnection, name: str, token: str) -> None:
    """Let whoever presents this token be the machine NAME; only its hash is kept.

    Raises AskedWrongly when there is one of this name, or was.
    """
    check_name(name)
    added = await connection.execute(
        insert(machine)
        .values(name=name, token_hash=hash_of(token))
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(machine.c.name)
    )
    if added.one_or_none() is None:
        raise AskedWrongly(f"there is a machine {name} already, or was: choose another name")


async def revoke(connection: AsyncConnection, name: str) -> None:
    """Shut a machine out, at once and for ever. Raises AskedWrongly when there is none."""
    revoked = await connection.execute(
        update(machine)
        .where(machine.c.name == name, machine.c.revoked_at.is_(None))
        .values(revoked_at=datetime.now(UTC))
        .returning(machine.c.name)
    )
    if revoked.one_or_none() is None:
        raise AskedWrongly(f"there is no machine {name}: `callcenter machines list` shows all")


async def everyone(connection: AsyncConnection) -> list[Machine]:
    """All machines that were ever known, by name."""
    columns = (machine.c[each] for each in Machine.__slots__)
    rows = await connection.execute(select(*columns).order_by(machine.c.name))
    return [Machine(*row) for row in rows]


async def of_token(connection: AsyncConnection, token: str) -> str | None:
    """The name of the machine with this token; None for any other text."""
    known = machine.c.token_hash == hash_of(token)
    query = select(machine.c.name).where(known, machine.c.revoked_at.is_(None))
    name: str | None = (await connection.execute(query)).scalar_one_or_none()
    if name is not None:
        now = datetime.now(UTC)
        # To the minute: asking need not write.
        long_ago = or_(machine.c.seen_at.is_(None), machine.c.seen_at < now - timedelta(minutes=1))
        await connection.execute(update(machine).where(known, long_ago).values(seen_at=now))
    return name
