"""Follow-up calls of an appeal: offered after danger, booked with the same consultant.

Whoever talked in the call makes it; when they do not, it is on a list that all see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.calls.store import lock_appeal
from callcenter.appeals.contact.rules import ContactMeans, judge
from callcenter.appeals.contact.sections import read_call_verdicts, read_numbers
from callcenter.appeals.contact.service import list_of_number
from callcenter.appeals.contact.store import find_numbers
from callcenter.appeals.extensions import AppealReading
from callcenter.appeals.followup import follow_up_calls_store as store
from callcenter.appeals.followup.follow_up_calls_store import FollowUpCall
from callcenter.appeals.record.service import audit_appeal, get_appeal, require_request
from callcenter.appeals.rules.follow_up_calls import (
    ATTEMPTS_LIMIT,
    OFFER_LIMIT,
    FollowUpResult,
    check_day,
    next_attempt,
)
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work

NO_RISK = N_("another call is offered after danger, or thoughts of suicide: first save what it was")
UNSAFE = N_("at that time there is no number at which a call is safe")
BOOKED = N_("another call is booked already")
NOT_BOOKED = N_("somebody has noted a result meanwhile: look at the appeal again")


@dataclass(frozen=True, slots=True)
class FollowUpSection:
    """Follow-up calls of an appeal, the last first, and whether one may be offered now."""

    at_risk_since: datetime | None  #: the contact; None: there is no risk
    calls: Sequence[FollowUpCall]
    made: Sequence[OutboundCallRow]  #: to people of the appeal, since one was booked
    has_safe_way: bool  #: a call to some number, at some hour
    attempts_limit: int = ATTEMPTS_LIMIT

    @property
    def awaits_offer(self) -> bool:
        """Whether nobody has offered another call yet, and the contact was a short time ago."""
        if self.at_risk_since is None or self.calls or not self.has_safe_way:
            return False
        return datetime.now(UTC) - self.at_risk_since < OFFER_LIMIT

    @property
    def is_open(self) -> bool:
        """Whether one is still to be made."""
        return any(each.result is None for each in self.calls)

    @property
    def is_declined(self) -> bool:
        """Whether the last one that was offered is not wanted."""
        return _is_declined(self.calls)


async def read_section(reading: AppealReading) -> FollowUpSection | None:
    """The follow-up calls of an appeal for its page; None where none is offered."""
    connection, appeal_id = reading.connection, reading.appeal_id
    at_risk_since, calls = await store.read(connection, appeal_id)
    if at_risk_since is None and not calls:
        return None
    numbers = await reading.once(read_numbers)
    verdicts = await reading.once(read_call_verdicts)
    safe = [verdicts[each] for each in numbers.not_of_accused]
    since = min((each.booked_at for each in calls if each.result is None), default=None)
    made = (
        await store.list_made(connection, appeal_id, since, numbers.not_of_accused) if since else []
    )
    has_safe_way = any(each.allowed or each.not_before for each in safe)
    return FollowUpSection(at_risk_since, calls, made, has_safe_way)


async def book(engine: AsyncEngine, actor: Actor, number: str, at: datetime) -> UUID:
    """Book another call with the consultant who talked, else with the actor.

    Raises InvalidRequest: no risk, another day, not safe then, or booked already; NotFound.
    """
    check_day(at, datetime.now(UTC))
    async with unit_of_work(engine) as connection:
        appeal_id, _ = await _require_offer(connection, number)
        if await _find_safe_moment(connection, appeal_id, at) != at:
            raise InvalidRequest(UNSAFE)
        user = await store.find_consultant(connection, appeal_id) or actor.name
        identity = await store.insert_new(
            connection, appeal_id, user=user, due_at=at, author=actor.who
        )
        due = at.astimezone(UTC).isoformat(timespec="minutes")
        await audit_appeal(
            connection, actor, AppealAction.FOLLOW_UP_BOOKED, number, user=user, due_at=due
        )
    return identity


async def decline(engine: AsyncEngine, actor: Actor, number: str) -> None:
    """Note, once, that another call was offered and is not wanted. Raises as `book` does."""
    async with unit_of_work(engine) as connection:
        appeal_id, calls = await _require_offer(connection, number)
        if _is_declined(calls):
            return
        declined = FollowUpResult.DECLINED
        await store.insert_new(
            connection,
            appeal_id,
            user=actor.name,
            due_at=datetime.now(UTC),
            author=actor.who,
            result=declined,
        )
        await audit_appeal(
            connection, actor, AppealAction.FOLLOW_UP_ENDED, number, result=declined.value
        )


async def note_result(
    engine: AsyncEngine,
    actor: Actor,
    number: str,
    call_id: UUID,
    result: FollowUpResult,
    *,
    before: int,
) -> None:
    """Note the result of an attempt, after so many `before` it that reached nobody.

    One that reached nobody either is tried again when a call is safe, within a limit. Raises
    NotFound, also when this attempt is noted already.
    """
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        call = await store.find_open(connection, row.id, call_id, before)
        if call is None:
            raise NotFound(NOT_BOOKED)
        attempts, again_at = before, None
        if result is FollowUpResult.NOT_REACHED:
            attempts += 1
            again_at = next_attempt(attempts, now)
        if again_at is not None:
            again_at = await _find_safe_moment(connection, row.id, again_at)
        if again_at is None:
            await store.end(connection, call.id, attempts=attempts, result=result, author=actor.who)
        else:
            await store.put_off(connection, call.id, attempts=attempts, due_at=again_at)
        numbers = await find_numbers(connection, row.id)
        made = await store.list_made(connection, row.id, call.booked_at, numbers.not_of_accused)
        detail: dict[str, str | int] = {"result": result.value, "attempts": attempts}
        if made:
            detail["call"] = str(made[0].id)
        await audit_appeal(connection, actor, AppealAction.FOLLOW_UP_ENDED, number, **detail)


async def _find_safe_moment(
    connection: AsyncConnection, appeal_id: UUID, at: datetime
) -> datetime | None:
    """The first moment from `at` on when some number may be called; None: there is none."""
    moments = []
    for number in (await find_numbers(connection, appeal_id)).not_of_accused:
        verdict = judge(await list_of_number(connection, number), ContactMeans.CALL, at)
        moments.append(at if verdict.allowed else verdict.not_before)
    return min(filter(None, moments), default=None)


def _is_declined(calls: Sequence[FollowUpCall]) -> bool:
    return bool(calls) and calls[0].result is FollowUpResult.DECLINED


async def _require_offer(
    connection: AsyncConnection, number: str
) -> tuple[UUID, Sequence[FollowUpCall]]:
    """The id of an appeal after which another call is offered, and its calls: none is booked."""
    row = await get_appeal(connection, number)
    await lock_appeal(connection, row.id)
    await require_request(connection, row.id)
    at_risk_since, calls = await store.read(connection, row.id)
    if at_risk_since is None:
        raise InvalidRequest(NO_RISK)
    if any(each.result is None for each in calls):
        raise InvalidRequest(BOOKED)
    return row.id, calls
