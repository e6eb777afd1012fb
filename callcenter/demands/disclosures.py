"""Disclosures and the authority's keys in PostgreSQL."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.demands.states import State
from callcenter.demands.tables import authority_key, demand, disclosure, signing_key
from callcenter.errors import AskedWrongly


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
    sha256: str | None
    bytes: int | None
    taken_at: datetime | None
    taken_by: str | None
    removed_at: datetime | None

    @property
    def object_name(self) -> str:
        """Of the bundle in the store of recordings."""
        return f"disclosures/{self.id}.tar.age"


_keys = select(*(authority_key.c[name] for name in KeyRow.__slots__))
_rows = select(*(disclosure.c[name] for name in DisclosureRow.__slots__))


async def add_key(connection: AsyncConnection, recipient: str, author: str) -> None:
    """Add a key, to be confirmed by another. Raises AskedWrongly when it was ever added."""
    added = await connection.execute(
        insert(authority_key)
        .values(id=uuid4(), recipient=recipient, added_at=datetime.now(UTC), added_by=author)
        .on_conflict_do_nothing()
        .returning(authority_key.c.id)
    )
    if added.one_or_none() is None:
        raise AskedWrongly("this key is there already, or was: make a new one")


async def confirm_key(connection: AsyncConnection, key_id: UUID, author: str) -> str | None:
    """Say that the key is the authority's; its text, None when `author` cannot confirm it."""
    return await _change_key(
        connection,
        select(authority_key.c.id).where(
            authority_key.c.id == key_id,
            authority_key.c.confirmed_at.is_(None),
            authority_key.c.revoked_at.is_(None),
            authority_key.c.added_by != author,
        ),
        confirmed_at=datetime.now(UTC),
        confirmed_by=author,
    )


async def revoke_key(connection: AsyncConnection, key_id: UUID) -> str | None:
    """Encrypt nothing to the key any more; its text, None when it is revoked or unknown."""
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
    """The key, locked, for a new disclosure. Raises AskedWrongly when it cannot be used for it."""
    row = await connection.execute(_keys.where(authority_key.c.id == key_id).with_for_update())
    found = row.one_or_none()
    key = KeyRow(*found) if found else None
    if key is None or not key.usable:
        raise AskedWrongly("this key is not confirmed, or revoked: choose another")
    taken = exists().where(
        disclosure.c.demand_id == demand_id,
        disclosure.c.key_id == key_id,
        disclosure.c.taken_at.is_not(None),
    )
    if (await connection.execute(select(taken))).scalar_one():
        raise AskedWrongly("this key has taken the bundle once: the authority has to add another")
    return key


async def note_signing_key(connection: AsyncConnection, fingerprint: str) -> None:
    """The authority was told of this key of ours. Repeatable."""
    told = insert(signing_key).values(fingerprint=fingerprint, told_at=datetime.now(UTC))
    await connection.execute(told.on_conflict_do_nothing())


async def is_known(connection: AsyncConnection, fingerprint: str) -> bool:
    """Whether the authority was told of this key of ours: it takes the first one from the page."""
    told = set((await connection.execute(select(signing_key.c.fingerprint))).scalars())
    if not told:
        await note_signing_key(connection, fingerprint)
    return not told or fingerprint in told


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
    """Order a bundle of what was chosen; a worker builds it."""
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
    """The disclosures of a demand, the newest first: only that one may be taken."""
    query = _rows.where(disclosure.c.demand_id == demand_id).order_by(disclosure.c.ordinal.desc())
    return [DisclosureRow(*row) for row in await connection.execute(query)]


async def to_be_built(connection: AsyncConnection) -> list[DisclosureRow]:
    """Disclosures without a bundle, of demands that are still released; the oldest first."""
    query = (
        _rows.join(demand, demand.c.id == disclosure.c.demand_id)
        .where(
            disclosure.c.built_at.is_(None),
            disclosure.c.removed_at.is_(None),
            demand.c.state == State.RELEASED.value,
        )
        .order_by(disclosure.c.released_at)
    )
    return [DisclosureRow(*row) for row in await connection.execute(query)]


async def to_be_removed(connection: AsyncConnection, now: datetime) -> list[DisclosureRow]:
    """Disclosures whose bundle nobody may take any more."""
    newer = disclosure.alias()
    superseded = exists().where(
        newer.c.demand_id == disclosure.c.demand_id, newer.c.ordinal > disclosure.c.ordinal
    )
    query = _rows.join(demand, demand.c.id == disclosure.c.demand_id).where(
        disclosure.c.removed_at.is_(None),
        or_(
            demand.c.state.not_in([State.RELEASED.value, State.HANDED_OVER.value]),
            disclosure.c.until <= now,
            superseded,
        ),
    )
    return [DisclosureRow(*row) for row in await connection.execute(query)]


async def built(connection: AsyncConnection, row: DisclosureRow, sha256: str, size: int) -> bool:
    """Note that the bundle is in the store; False when nobody may have it any more."""
    changed = await connection.execute(
        update(disclosure)
        .where(disclosure.c.id == row.id, disclosure.c.removed_at.is_(None))
        .values(built_at=datetime.now(UTC), sha256=sha256, bytes=size)
        .returning(disclosure.c.id)
    )
    return changed.one_or_none() is not None


async def taken(connection: AsyncConnection, row: DisclosureRow, who: str) -> bool:
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


async def removed(connection: AsyncConnection, row: DisclosureRow) -> None:
    """Note that the bundle is not in the store any more."""
    await connection.execute(
        update(disclosure).where(disclosure.c.id == row.id).values(removed_at=datetime.now(UTC))
    )
