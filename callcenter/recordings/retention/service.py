"""Retention of recordings: legal holds, and erasure by two people.

A legal hold is placed by hand, for the order of a court or an inquiry; other kinds of holds are
placed and ended by the rooms that offer them, see `extensions.HoldKind`.

One person requests an erasure with a reason, another person decides. What is left is a tombstone:
the row of the recording, `erased`, with its times and hashes but no audio, and the request with
both persons. From the decision on nobody can open it; a worker removes the object within a minute
(`recordings.jobs`). A held recording is not erased.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity import approvals
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.extensions import HoldKind
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention import store
from callcenter.recordings.tables import recording_erasure

BY_ORDER = HoldKind("order", N_("Held by order:"), RecordingPermission.ERASE)
HOLD_ORDER_LIMIT = 200  # characters, also of the reason why it ends
ORDER_LIMIT = 1000  # characters


class OnLegalHold(InvalidRequest):
    """The recording is held, and is not erased while it is."""


async def hold(engine: AsyncEngine, actor: Actor, recording_id: UUID, order: str) -> None:
    """Hold a stored recording for an order: its number, date and issuer. Repeatable.

    Raises NotFound, InvalidRequest without an order.
    """
    async with unit_of_work(engine) as connection:
        await store.lock_stored(connection, recording_id)
        await store.hold(connection, [recording_id], BY_ORDER.reason(_order(order)))
        await audit_action(
            connection,
            actor,
            RecordingAction.RECORDING_HELD,
            f"recording:{recording_id}",
            {"order": _order(order)},
        )


async def release(
    engine: AsyncEngine, actor: Actor, recording_id: UUID, order: str, reason: str
) -> None:
    """End a legal hold, with a reason; the recording may be erased then, by two people.

    Raises NotFound when it is not held for this order, InvalidRequest without a reason.
    """
    async with unit_of_work(engine) as connection:
        if not await store.release_one(connection, recording_id, BY_ORDER.reason(_order(order))):
            raise NotFound("the recording is not held for this order")
        why = _order(reason)
        await audit_action(
            connection,
            actor,
            RecordingAction.RECORDING_LET_GO,
            f"recording:{recording_id}",
            {"order": _order(order), "reason": why},
        )


async def request_erasure(
    engine: AsyncEngine,
    actor: Actor,
    recording_id: UUID,
    *,
    reason: str,
    order: str | None,
) -> UUID:
    """Request the erasure of a stored recording; returns the id of the request.

    Raises NotFound, and InvalidRequest when the reason is missing or a request waits already.
    """
    reason, order = approvals.check_reason(reason), (order or "").strip()[:ORDER_LIMIT] or None
    async with unit_of_work(engine) as connection:
        await store.lock_stored(connection, recording_id)
        request_id = await approvals.add_request(
            connection, recording_erasure, actor, reason, recording_id=recording_id, order=order
        )
        detail = {"reason": reason} | ({"order": order} if order else {})
        subject = f"recording:{recording_id}"
        await audit_action(connection, actor, RecordingAction.ERASURE_ASKED, subject, detail)
    return request_id


async def decide_erasure(
    engine: AsyncEngine, actor: Actor, erasure_id: UUID, *, approve: bool, reason: str
) -> None:
    """Approve or refuse a request, with a reason; approved, the recording cannot be opened.

    Raises NotFound when nothing waits under this id, SelfApproval, OnLegalHold, InvalidRequest
    without a reason.
    """
    reason = approvals.check_reason(reason)
    async with approvals.deciding(engine, recording_erasure, erasure_id, actor) as connection:
        row = await store.find_request(connection, erasure_id)
        if approve:
            await store.lock_stored(connection, row.recording_id)
            held = await store.reasons_of(connection, row.recording_id)
            if held:
                raise OnLegalHold(
                    f"the recording is held ({', '.join(held)}) and not erased meanwhile"
                )
            await store.mark_erased(connection, row.recording_id)
        await approvals.save_decision(
            connection, recording_erasure, erasure_id, actor, approve=approve, reason=reason
        )
        action = RecordingAction.ERASURE_APPROVED if approve else RecordingAction.ERASURE_REFUSED
        subject = f"recording:{row.recording_id}"
        detail = {"reason": reason, "asked_by": row.asked_by}
        await audit_action(connection, actor, action, subject, detail)


def _order(written: str) -> str:
    order = " ".join(written.split())
    if not order or len(order) > HOLD_ORDER_LIMIT or not order.isprintable():
        raise InvalidRequest(f"say which order, or why, in up to {HOLD_ORDER_LIMIT} characters")
    return order
