"""Releases a checked demand by a second person and hands out its bundle: once, in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.demands import disclosures, matches_store, store
from callcenter.demands.actions import DemandAction
from callcenter.demands.bundle_format import read_recipient
from callcenter.demands.demand_form import read_text
from callcenter.demands.disclosures import DisclosureRow
from callcenter.demands.rules.states import DemandState, DemandStep, move
from callcenter.demands.service import lock_demand, transition
from callcenter.demands.store import DemandRow
from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.jobs import SIGN_NOW
from callcenter.platform.core.errors import InvalidRequest, NotFound, OperationFailed
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.approvals import audited_self_approval
from callcenter.platform.identity.refusals import record_refusal
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import enqueue_once
from callcenter.platform.storage.objects import Objects

#: The job that builds bundles.
BUILDING = "demands.tend_bundles"

#: How long a bundle waits to be taken.
OFFER_EXPIRES_AFTER = timedelta(days=10)


class NotAvailable(InvalidRequest):
    """The bundle is not made yet, was taken already, or its time has run out: ask the center."""


class BundleUnavailable(OperationFailed):
    """The store does not have the bundle to give now: nothing counts as handed over."""


async def release(
    engine: AsyncEngine,
    actor: Actor,
    number: str,
    version: int,
    key_id: UUID,
    reason: str,
    *,
    again: bool = False,
) -> None:
    """Release a demand that another person prepared, or (`again`) order a new bundle.

    A worker builds it at once. Raises NotFound, InvalidRequest when the key cannot be used, and as
    `service.transition` does.
    """
    step = DemandStep.OFFERED_AGAIN if again else DemandStep.RELEASED
    async with _audited(engine, actor, number, step), unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        key = await disclosures.key_for(connection, row.id, key_id)
        prepared_by = await store.preparers(connection, row.id)
        # The step first: its refusals are the ones that are told.
        await transition(connection, actor, step, row, reason, key=key.recipient)
        await disclosures.add(
            connection,
            demand_id=row.id,
            key_id=key_id,
            prepared_by=prepared_by,
            released_by=actor.who,
            until=datetime.now(UTC) + OFFER_EXPIRES_AFTER,
        )
        await enqueue_once(connection, BUILDING)


async def check_bundle_stored(engine: AsyncEngine, store_of_bundles: Objects, number: str) -> None:
    """Check that the store has the bundle, before it counts as taken.

    Raises BundleUnavailable; nothing when none was made, which `hand_out` refuses.
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
        offered = await disclosures.of_demand(connection, row.id) if row else []
    if offered and offered[0].built_at is not None and offered[0].removed_at is None:
        try:
            size = await asyncio.to_thread(store_of_bundles.size, offered[0].object_name)
        except OperationFailed as exc:
            raise BundleUnavailable from exc
        if size != offered[0].bytes:
            raise BundleUnavailable


async def hand_out(
    engine: AsyncEngine, actor: Actor, number: str, by: str, note: str = ""
) -> DisclosureRow:
    """Mark the bundle as taken, before its first byte is sent: it is taken only once.

    `by` is how: `download` by the authority, `carrier` by the center. Each recording in it has its
    entry in the audit log. For a carrier `note` says which, and who takes it. Raises NotFound,
    NotAvailable, IllegalDemandStep; InvalidRequest without a note that is needed.
    """
    step = DemandStep.HANDED_OVER
    async with _audited(engine, actor, number, step), unit_of_work(engine) as connection:
        row = await lock_demand(connection, number)
        if not row.from_authority or row.hand_over_by != by:
            raise NotAvailable
        move(DemandState(row.state), DemandStep.HANDED_OVER)
        newest = (await disclosures.of_demand(connection, row.id))[0]
        if datetime.now(UTC) >= newest.until:
            raise NotAvailable
        if not await disclosures.mark_taken(connection, newest, actor.who):
            raise NotAvailable
        reason = f"{by}, SHA-256 {newest.sha256}"
        if by == "carrier":
            reason = f"{read_text(note)}; {reason}"
        await transition(
            connection, actor, DemandStep.HANDED_OVER, row, reason, disclosure=str(newest.id)
        )
        for each in await matches_store.matches(connection, row.id, chosen=True):
            await audit_action(
                connection,
                actor,
                DemandAction.RECORDING_DISCLOSED,
                f"recording:{each.recording_id}",
                {"demand": row.number, "disclosure": str(newest.id)},
            )
        # Nobody is to cut these entries off later without contradicting a signed head.
        await enqueue_once(connection, SIGN_NOW)
    return newest


@asynccontextmanager
async def _audited(
    engine: AsyncEngine, actor: Actor, number: str, step: DemandStep
) -> AsyncIterator[None]:
    """Leave an audit entry when this step of a demand that is there is refused, and why."""
    try:
        yield
    except NotFound:
        raise
    except InvalidRequest as refusal:
        async with unit_of_work(engine) as connection:
            await record_refusal(
                connection,
                actor,
                DemandAction.DEMAND_STEP_REFUSED,
                f"demand:{number}",
                {"step": step.value, "why": str(refusal)},
            )
        raise


async def acknowledge(
    engine: AsyncEngine, actor: Actor, number: str, version: int, reason: str
) -> None:
    """Note that the authority has the whole bundle.

    Raises NotFound, and as `service.transition` does.
    """
    async with unit_of_work(engine) as connection:
        row = await lock_demand(connection, number, version)
        await transition(connection, actor, DemandStep.ACKNOWLEDGED, row, reason)


async def add_key(engine: AsyncEngine, actor: Actor, written: str) -> None:
    """Add a public key of the authority, to be confirmed by another. Raises InvalidRequest."""
    recipient = str(read_recipient(written))
    async with unit_of_work(engine) as connection:
        await disclosures.add_key(connection, recipient, actor.who)
        await _audit_key(connection, actor, DemandAction.AUTHORITY_KEY_ADDED, recipient)


async def confirm_key(engine: AsyncEngine, actor: Actor, key_id: UUID) -> None:
    """Confirm that a key is the authority's. Raises NotFound, SelfApproval for who added it."""
    async with (
        audited_self_approval(engine, actor, f"authority_key:{key_id}"),
        unit_of_work(engine) as connection,
    ):
        recipient = await disclosures.confirm_key(connection, key_id, actor.who)
        await _audit_key(connection, actor, DemandAction.AUTHORITY_KEY_CONFIRMED, recipient)


async def revoke_key(engine: AsyncEngine, actor: Actor, key_id: UUID) -> None:
    """Revoke a key: nothing is encrypted to it any more. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        recipient = await disclosures.revoke_key(connection, key_id)
        await _audit_key(connection, actor, DemandAction.AUTHORITY_KEY_REVOKED, recipient)


async def _audit_key(
    connection: AsyncConnection, actor: Actor, action: Action, recipient: str | None
) -> None:
    if recipient is None:
        raise NotFound("there is no such key for you to change: look at the list again")
    await audit_action(connection, actor, action, f"authority_key:{recipient}")


def is_being_made(row: DemandRow, newest: DisclosureRow | None) -> bool:
    """Whether a worker is making the bundle, or is to."""
    return (
        row.state == DemandState.RELEASED.value
        and newest is not None
        and newest.built_at is None
        and newest.removed_at is None
    )


def is_offered(row: DemandRow, newest: DisclosureRow | None, by: str, now: datetime) -> bool:
    """Whether the bundle can be taken now by `download` or `carrier`."""
    return (
        row.state == DemandState.RELEASED.value
        and row.hand_over_by == by
        and newest is not None
        and newest.built_at is not None
        and newest.taken_at is None
        and now < newest.until
    )
