"""A second person releases what was checked, and the authority takes it: once, and in time."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.demands import disclosures, findings, store
from callcenter.demands.bundle import read_recipient
from callcenter.demands.deeds import locked, read_text, take
from callcenter.demands.disclosures import DisclosureRow
from callcenter.demands.states import State, Step, move
from callcenter.demands.store import DemandRow
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.storage.engine import unit_of_work
from callcenter.storage.objects import Objects
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit

#: How long a bundle waits to be taken.
OFFERED = timedelta(days=10)


class NotToBeTaken(AskedWrongly):
    """The bundle is not made yet, was taken already, or its time has run out: ask the center."""


class Away(WeFailed):
    """The store does not have the bundle to give now: nothing counts as handed over."""


async def release(
    engine: AsyncEngine,
    visit: Visit,
    number: str,
    version: int,
    key_id: UUID,
    reason: str,
    *,
    again: bool = False,
) -> None:
    """Let go what somebody else prepared, or (`again`) what did not arrive: a new bundle is made.

    Raises NotFound, AskedWrongly when the key cannot be used, and as `deeds.take` does.
    """
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        key = await disclosures.key_for(connection, row.id, key_id)
        step = Step.OFFERED_AGAIN if again else Step.RELEASED
        prepared_by = await store.preparers(connection, row.id)
        # The step first: its refusals are the ones that are told.
        await take(connection, visit, step, row, reason, key=key.recipient)
        await disclosures.add(
            connection,
            demand_id=row.id,
            key_id=key_id,
            prepared_by=prepared_by,
            released_by=visit.who,
            until=datetime.now(UTC) + OFFERED,
        )


async def must_be_there(engine: AsyncEngine, store_of_bundles: Objects, number: str) -> None:
    """Ask the store for the bundle before it counts as taken, for it is given only once.

    Raises Away; nothing when none was made, of which `hand_out` tells.
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        offered = await disclosures.of_demand(connection, row.id) if row else []
    if offered and offered[0].built_at is not None and offered[0].removed_at is None:
        try:
            size = await asyncio.to_thread(store_of_bundles.size, offered[0].object_name)
        except WeFailed as exc:
            raise Away from exc
        if size != offered[0].bytes:
            raise Away


async def hand_out(
    engine: AsyncEngine, visit: Visit, number: str, by: str, note: str = ""
) -> DisclosureRow:
    """Count the bundle as taken, before its first byte is sent: nobody takes it a second time.

    `by` is how: `download` by the authority, `carrier` by the center. Each recording in it has its
    entry in the audit log. For a carrier `note` says which, and who takes it. Raises NotFound,
    NotToBeTaken, IllegalMove; AskedWrongly without a note that is needed.
    """
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number)
        if not row.from_authority or row.hand_over_by != by:
            raise NotToBeTaken
        move(State(row.state), Step.HANDED_OVER)
        newest = (await disclosures.of_demand(connection, row.id))[0]
        if datetime.now(UTC) >= newest.until:
            raise NotToBeTaken
        if not await disclosures.taken(connection, newest, visit.who):
            raise NotToBeTaken
        reason = f"{by}, SHA-256 {newest.sha256}"
        if by == "carrier":
            reason = f"{read_text(note)}; {reason}"
        await take(connection, visit, Step.HANDED_OVER, row, reason, disclosure=str(newest.id))
        for each in await findings.matches(connection, row.id, chosen=True):
            await record(
                connection,
                who=visit.who,
                action=Action.RECORDING_DISCLOSED,
                subject=f"recording:{each.recording_id}",
                detail={"demand": row.number, "disclosure": str(newest.id)},
                from_address=visit.address,
            )
    return newest


async def acknowledge(
    engine: AsyncEngine, visit: Visit, number: str, version: int, reason: str
) -> None:
    """Note that the authority has the bundle whole. Raises NotFound, and as `deeds.take` does."""
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        await take(connection, visit, Step.ACKNOWLEDGED, row, reason)


async def add_key(engine: AsyncEngine, visit: Visit, written: str) -> None:
    """Add a public key of the authority, to be confirmed by another. Raises AskedWrongly."""
    recipient = str(read_recipient(written))
    async with unit_of_work(engine) as connection:
        await disclosures.add_key(connection, recipient, visit.who)
        await _note(connection, visit, Action.AUTHORITY_KEY_ADDED, recipient)


async def confirm_key(engine: AsyncEngine, visit: Visit, key_id: UUID) -> None:
    """Say that a key was compared with the authority. Raises NotFound: not by who added it."""
    async with unit_of_work(engine) as connection:
        recipient = await disclosures.confirm_key(connection, key_id, visit.who)
        await _note(connection, visit, Action.AUTHORITY_KEY_CONFIRMED, recipient)


async def revoke_key(engine: AsyncEngine, visit: Visit, key_id: UUID) -> None:
    """Encrypt nothing to a key any more. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        recipient = await disclosures.revoke_key(connection, key_id)
        await _note(connection, visit, Action.AUTHORITY_KEY_REVOKED, recipient)


async def _note(
    connection: AsyncConnection, visit: Visit, action: Action, recipient: str | None
) -> None:
    if recipient is None:
        raise NotFound("there is no such key for you to change: look at the list again")
    await record(
        connection,
        who=visit.who,
        action=action,
        subject=f"authority_key:{recipient}",
        from_address=visit.address,
    )


def is_offered(row: DemandRow, newest: DisclosureRow | None, by: str, now: datetime) -> bool:
    """Whether the bundle can be taken now this way."""
    return (
        row.state == State.RELEASED.value
        and row.hand_over_by == by
        and newest is not None
        and newest.built_at is not None
        and newest.taken_at is None
        and now < newest.until
    )
