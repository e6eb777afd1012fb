"""Opening a sealed number: one person asks, another approves, one of both opens it.

Each step has an audit entry, and so has each try to open it that is refused: unapproved, twice, too
late or as somebody else, or one that is not kept any more or that no key here opens.
"""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.rules.number import parse
from callcenter.platform.core.errors import CallcenterError, NotFound
from callcenter.platform.identity import approvals
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callers.sealed_numbers import store
from callcenter.telephony.callers.sealed_numbers.actions import SealedNumberAction
from callcenter.telephony.callers.sealed_numbers.opening import open_number
from callcenter.telephony.callers.sealed_numbers.rules import (
    NotOpenable,
    NumberUnreadable,
    why_not_opened,
)
from callcenter.telephony.callers.sealed_numbers.store import NumberOpening
from callcenter.telephony.callers.sealed_numbers.tables import number_opening

log = logging.getLogger(__name__)


async def request(engine: AsyncEngine, actor: Actor, appeal: str, reason: str) -> UUID:
    """Request that the number of an appeal be opened; returns the id of the request.

    Raises NotFound when none is kept, and InvalidRequest without a reason or when a request waits.
    """
    reason = approvals.check_reason(reason)
    async with unit_of_work(engine) as connection:
        row = await appeals.find(connection, parse(appeal))
        now = datetime.now(UTC)
        if row is None or await store.find_until(connection, row.id, now) is None:
            raise NotFound("no sealed number is kept of this appeal")
        opening_id = await approvals.add_request(
            connection, number_opening, actor, reason, appeal_id=row.id
        )
        subject = f"appeal:{row.number}"
        await audit_action(
            connection, actor, SealedNumberAction.NUMBER_ASKED, subject, {"reason": reason}
        )
    return opening_id


async def decide(
    engine: AsyncEngine, actor: Actor, opening_id: UUID, *, approve: bool, reason: str
) -> None:
    """Approve or refuse what another person asked for, with a reason.

    Raises NotFound when nothing waits under this id, SelfApproval, InvalidRequest.
    """
    reason = approvals.check_reason(reason)
    async with approvals.deciding(engine, number_opening, opening_id, actor) as connection:
        opening = await store.find_opening(connection, opening_id)
        if opening is None:
            raise NotFound("there is no such request: look at the list again")
        await approvals.save_decision(
            connection, number_opening, opening_id, actor, approve=approve, reason=reason
        )
        action = (
            SealedNumberAction.NUMBER_APPROVED if approve else SealedNumberAction.NUMBER_REFUSED
        )
        detail = {"reason": reason, "asked_by": opening.asked_by}
        await audit_action(connection, actor, action, f"appeal:{opening.appeal}", detail)


async def open_once(engine: AsyncEngine, keys: Path, actor: Actor, opening_id: UUID) -> str:
    """Open an approved number: it is told this once, to one of the two.

    Raises NotFound when there is no such request or number any more, NotOpenable,
    NumberUnreadable.
    """
    async with unit_of_work(engine) as connection:
        opening = await store.find_opening(connection, opening_id)
        if opening is None:
            raise NotFound("there is no such request: look at the list again")
        now, people = datetime.now(UTC), (opening.asked_by, opening.decided_by)
        refusal: CallcenterError = NotOpenable()
        denial = why_not_opened(opening.state, people, actor.who, opening.decided_at, now)
        if denial is None:
            sealed = await store.find_sealed(connection, opening.appeal_id, now)
            if sealed is None:
                denial, refusal = "gone", NotFound("the number is not kept any more")
            else:
                try:
                    number = await asyncio.to_thread(open_number, keys, opening.appeal_id, sealed)
                except CallcenterError as exc:
                    log.error("sealed number not opened: appeal %s: %s", opening.appeal, exc)
                    denial, refusal = "unreadable", NumberUnreadable()
                else:
                    await store.mark_opened(connection, opening_id, actor.who, now)
                    await _audit_opening(connection, actor, opening)
                    return number
        await _audit_denial(connection, actor, opening, denial)
    raise refusal


async def _audit_opening(connection: AsyncConnection, actor: Actor, opening: NumberOpening) -> None:
    detail = {
        "reason": opening.reason,
        "asked_by": opening.asked_by,
        "approved_by": opening.decided_by or "",
    }
    await audit_action(
        connection, actor, SealedNumberAction.NUMBER_OPENED, f"appeal:{opening.appeal}", detail
    )


async def _audit_denial(
    connection: AsyncConnection, actor: Actor, opening: NumberOpening, why: str
) -> None:
    detail = {"why": why, "asked_by": opening.asked_by}
    await audit_action(
        connection, actor, SealedNumberAction.NUMBER_DENIED, f"appeal:{opening.appeal}", detail
    )
