"""Disclosures and the authority's keys in PostgreSQL."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.demands.rules.states import DemandState
from callcenter.demands.tables import authority_key, demand, disclosure, signing_key
from callcenter.platform.core.errors import InvalidRequest, SelfApproval


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A public key of the authority."""

    id: UUID
    recipient: str
    added_at: datetime
    added_by: str
    confirmed_at: datetime | None
    confirmed_by: str | None
    revoked_at: datetime | None

    @property
    def usable(self) -> bool:
        return self.confirmed_at is not None and self.revoked_at is None


@dataclass(frozen=True, slots=True)
class DisclosureRow:
    """One release of a demand. Once built, the bundle is in the store until it is removed."""

    id: UUID
    demand_id: UUID
    ordinal: int
    key_id: UUID
    prepared_by: list[str]
    released_by: str
    released_at: datetime
    until: datetime
    built_at: datetime | None
    made_percent: int
    sha256: str | None
    bytes: int | None
    taken_at: datetime | None
    taken_by: str | None
    removed_at: datetime | None

    @property
    def object_name(self) -> str:
        """Name of the bundle in the store of recordings."""
        return f"disclosures/{self.id}.tar.age"


_keys = select(*(authority_key.c[name] for name in KeyRow.__slots__))
_rows = select(*(disclosure.c[name] for name in DisclosureRow.__slots__))


async def add_key(connection: AsyncConnection, recipient: str, author: str) -> None:
    """Add a key, to be confirmed by another. Raises InvalidRequest when it was ever added."""
    added = await connection.execute(
        insert(authority_key)
        .values(id=uuid4(), recipient=recipient, added_at=datetime.now(UTC), added_by=author)
        .on_conflict_do_nothing()
        .returning(authority_key.c.id)
    )
    if added.one_or_none() is None:
        raise InvalidRequest("this key is there already, or was: make a new one")


async def confirm_key(connection: AsyncConnection, key_id: UUID, author: str) -> str | None:
    """Confirm a key; returns its text, None when it is confirmed, revoked or unknown.

    Raises SelfApproval for who added it.
    """
    adder = select(authority_key.c.added_by).where(authority_key.c.id == key_id)
    if (await connection.execute(adder)).scalar_one_or_none() == author:
        raise SelfApproval
    return await _change_key(
        connection,
        select(authority_key.c.id).where(
            authority_key.c.id == key_id,
            authority_key.c.confirmed_at.is_(None),
            authority_key.c.revoked_at.is_(None),
        ),
        confirmed_at=datetime.now(UTC),
        confirmed_by=author,
    )


async def revoke_key(connection: AsyncConnection, key_id: UUID) -> str | None:
    """Revoke a key; returns its text, None when it is revoked or unknown."""
    return await _change_key(
        connection,
        select(authority_key.c.id).where(
            authority_key.c.id == key_id, authority_key.c.revoked_at.is_(None)
        ),
        revoked_at=datetime.now(UTC),
    )


async def _change_key(
    connection: AsyncConnection, which: Select[tuple[UUID]], **values: datetime | str
) -> str | None:
    changed = await connection.execute(
        update(authority_key)
        .where(authority_key.c.id.in_(which))
        .values(**values)
        .returning(authority_key.c.recipient)
    )
    recipient: str | None = changed.scalar_one_or_none()
    return recipient


async def keys(connection: AsyncConnection) -> list[KeyRow]:
    """All keys, the newest first."""
    rows = await connection.execute(_keys.order_by(authority_key.c.added_at.desc()))
    return [KeyRow(*row) for row in rows]


async def key_for(connection: AsyncConnection, demand_id: UUID, key_id: UUID) -> KeyRow:
    """Lock the key for a new disclosure.

    Raises InvalidRequest when it cannot be used for it.
    """
    row = await connection.execute(_keys.where(authority_key.c.id == key_id).with_for_update())
    found = row.one_or_none()
    key = KeyRow(*found) if found else None
    if key is None or not key.usable:
        raise InvalidRequest("this key is not confirmed, or revoked: choose another")
    taken = exists().where(
        disclosure.c.demand_id == demand_id,
        disclosure.c.key_id == key_id,
        disclosure.c.taken_at.is_not(None),
    )
    if (await connection.execute(select(taken))).scalar_one():
        raise InvalidRequest("this key has taken the bundle once: the authority has to add another")
    return key


async def announce_signing_key(connection: AsyncConnection, fingerprint: str) -> None:
    """Note that the authority was told of this signing key. Repeatable."""
    entry = insert(signing_key).values(fingerprint=fingerprint, told_at=datetime.now(UTC))
    await connection.execute(entry.on_conflict_do_nothing())


async def is_announced(connection: AsyncConnection, fingerprint: str) -> bool:
    """Whether the authority was told of this signing key; the first one counts as told."""
    announced = set((await connection.execute(select(signing_key.c.fingerprint))).scalars())
    if not announced:
        await announce_signing_key(connection, fingerprint)
    return not announced or fingerprint in announced


async def recipient_of(connection: AsyncConnection, key_id: UUID) -> str:
    """The text of a key."""
    query = select(authority_key.c.recipient).where(authority_key.c.id == key_id)
    return str((await connection.execute(query)).scalar_one())


async def add(
    connection: AsyncConnection,
    *,
    demand_id: UUID,
    key_id: UUID,
    prepared_by: set[str],
    released_by: str,
    until: datetime,
) -> None:
    """Order a bundle of the chosen recordings; a worker builds it."""
    last = select(func.coalesce(func.max(disclosure.c.ordinal), 0) + 1).where(
        disclosure.c.demand_id == demand_id
    )
    await connection.execute(
        insert(disclosure).values(
            id=uuid4(),
            demand_id=demand_id,
            ordinal=last.scalar_subquery(),
            key_id=key_id,
            prepared_by=sorted(prepared_by),
            released_by=released_by,
            released_at=datetime.now(UTC),
            until=until,
        )
    )


async def of_demand(connection: AsyncConnection, demand_id: UUID) -> list[DisclosureRow]:
    """The disclosures of a demand, the newest first: only the newest may be taken."""
    query = _rows.where(disclosure.c.demand_id == demand_id).order_by(disclosure.c.ordinal.desc())
    return [DisclosureRow(*row) for row in await connection.execute(query)]


async def newest_of_running(connection: AsyncConnection) -> dict[UUID, DisclosureRow]:
    """The newest disclosure of each released demand, by the id of the demand."""
    query = (
        _rows.join(demand, demand.c.id == disclosure.c.demand_id)
        .where(demand.c.state == DemandState.RELEASED.value)
        .order_by(disclosure.c.ordinal)
    )
    rows = [DisclosureRow(*row) for row in await connection.execute(query)]
    return {row.demand_id: row for row in rows}  # of each the last one stays


async def list_unbuilt(connection: AsyncConnection) -> list[DisclosureRow]:
    """Disclosures without a bundle, of released demands, the oldest first."""
    query = (
        _rows.join(demand, demand.c.id == disclosure.c.demand_id)
        .where(
            disclosure.c.built_at.is_(None),
            disclosure.c.removed_at.is_(None),
            demand.c.state == DemandState.RELEASED.value,
        )
        .order_by(disclosure.c.released_at)
    )
    return [DisclosureRow(*row) for row in await connection.execute(query)]


async def list_expired(connection: AsyncConnection, now: datetime) -> list[DisclosureRow]:
    """Disclosures whose bundle must not be handed out any more."""
    newer = disclosure.alias()
    superseded = exists().where(
        newer.c.demand_id == disclosure.c.demand_id, newer.c.ordinal > disclosure.c.ordinal
    )
    query = _rows.join(demand, demand.c.id == disclosure.c.demand_id).where(
        disclosure.c.removed_at.is_(None),
        or_(
            demand.c.state.not_in([DemandState.RELEASED.value, DemandState.HANDED_OVER.value]),
            disclosure.c.until <= now,
            superseded,
        ),
    )
    return [DisclosureRow(*row) for row in await connection.execute(query)]


async def note_progress(connection: AsyncConnection, row: DisclosureRow, percent: int) -> None:
    """Note how much of the bundle is packed by now."""
    await connection.execute(
        update(disclosure).where(disclosure.c.id == row.id).values(made_percent=percent)
    )


async def mark_built(
    connection: AsyncConnection, row: DisclosureRow, sha256: str, size: int
) -> bool:
    """Note that the bundle is in the store; False when it is out of date already."""
    changed = await connection.execute(
        update(disclosure)
        .where(disclosure.c.id == row.id, disclosure.c.removed_at.is_(None))
        .values(built_at=datetime.now(UTC), sha256=sha256, bytes=size)
        .returning(disclosure.c.id)
    )
    return changed.one_or_none() is not None


async def mark_taken(connection: AsyncConnection, row: DisclosureRow, who: str) -> bool:
    """Note that the bundle is handed out now; False when it was before."""
    changed = await connection.execute(
        update(disclosure)
        .where(
            disclosure.c.id == row.id,
            disclosure.c.built_at.is_not(None),
            disclosure.c.taken_at.is_(None),
            disclosure.c.removed_at.is_(None),
        )
        .values(taken_at=datetime.now(UTC), taken_by=who)
        .returning(disclosure.c.id)
    )
    return changed.one_or_none() is not None


async def mark_removed(connection: AsyncConnection, row: DisclosureRow) -> None:
    """Note that the bundle is not in the store any more."""
    await connection.execute(
        update(disclosure).where(disclosure.c.id == row.id).values(removed_at=datetime.now(UTC))
    )
