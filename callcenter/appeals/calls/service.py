"""Service of calls of appeals: callbacks declined, numbers of callers shown whole."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import dropped_calls
from callcenter.appeals.calls.dropped_calls import NoCallbackReason, NotADroppedCall, is_undecided
from callcenter.appeals.calls.store import append_event, find, lock_appeal
from callcenter.appeals.permissions import AppealPermission
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

REASON_LIMIT = 500  # characters
NO_REASON = N_(
    "enter why you need the number, in up to 500 characters: the reason is recorded in the audit"
    " log"
)
NO_NUMBER = N_("the caller of this appeal gave no number")


async def decline_callback(
    engine: AsyncEngine, actor: Actor, number: str, reason: NoCallbackReason
) -> None:
    """Store the decision not to call the caller back. Raises NotADroppedCall."""
    async with unit_of_work(engine) as connection:
        row = await find(connection, number)
        if row is None:
            raise NotADroppedCall
        await lock_appeal(connection, row.id)
        now = datetime.now(UTC)
        if not await is_undecided(connection, number, now):
            raise NotADroppedCall
        await append_event(
            connection,
            appeal_id=row.id,
            at=now,
            kind=dropped_calls.EVENT_KIND,
            detail={"not_called": reason.value, "by": actor.who},
        )


async def show_number(engine: AsyncEngine, actor: Actor, number: str, reason: str) -> str:
    """The number of the caller of an appeal, whole; audited with the reason.

    Raises NotFound, and InvalidRequest without a reason or a number.
    """
    async with unit_of_work(engine) as connection:
        row = await find(connection, number)
        if row is None:
            raise NotFound("there is no appeal with this number")
        if row.caller_number is None:
            raise InvalidRequest(NO_NUMBER)
        await audit_shown_number(connection, actor, f"appeal:{number}", reason)
    return row.caller_number


async def audit_shown_number(
    connection: AsyncConnection, actor: Actor, subject: str, reason: str
) -> None:
    """Leave the audit entry without which no number of a caller is shown whole.

    Raises Forbidden, and InvalidRequest without a reason.
    """
    actor.require(AppealPermission.SEE_CALLER_NUMBER)
    detail = {"reason": check_reason(reason)}
    await audit_action(connection, actor, AppealAction.NUMBER_SHOWN, subject, detail)


def check_reason(reason: str) -> str:
    """The reason for which a number is shown whole, trimmed. Raises InvalidRequest."""
    reason = reason.strip()
    if not reason or len(reason) > REASON_LIMIT:
        raise InvalidRequest(NO_REASON)
    return reason
