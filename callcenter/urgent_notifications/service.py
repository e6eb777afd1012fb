"""Actions on urgent notifications: one transaction, one audit entry, and perhaps a call."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.store import AppealRow, lock_appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record.service import (
    audit_appeal,
    get_appeal,
    report_danger_once,
    require_request,
)
from callcenter.bodies import service as directory
from callcenter.bodies import store as bodies
from callcenter.consultants.service import find_own_extension
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import N_, CallcenterError, InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import joined_unit_of_work, unit_of_work
from callcenter.telephony.acd.command_bus import CommandClient, NoActiveCall
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.outbound.consultant_calls import find_consultant_call
from callcenter.telephony.outbound.service import start_call
from callcenter.urgent_notifications import store
from callcenter.urgent_notifications.actions import NotificationAction
from callcenter.urgent_notifications.rules.numbers import MayCall, list_numbers, order_numbers
from callcenter.urgent_notifications.rules.states import (
    NOT_NOW,
    OPEN,
    RESULTS,
    IllegalNotificationStep,
    NotificationFacts,
    NotificationStep,
    check_facts,
    move_notification,
)
from callcenter.urgent_notifications.store import UrgentNotification

log = logging.getLogger(__name__)

#: Within which a second press is the first one: an order is answered before.
SAME_PRESS = timedelta(seconds=10)
WRONG_NUMBER = "an urgent notification reached somebody else there"
NO_NUMBER = N_(
    "this body does not exist today, or has no number that may be called: choose the one above it"
)
NOT_CALLED = N_(
    "It is begun and its time runs, but your telephone calls nobody: be at work and free, or in the"
    " call of this appeal. Press again, or call in another way, and enter who took it."
)
STILL_CALLED = N_("The call goes on still: hang up first, then the next number is called.")
WENT_ON = N_("Another press came first, and this one changed nothing: look at it as it is now.")
OTHER_NUMBER = N_("Another number was called last: look which one is wrong, and press again.")
JOINED = N_("This appeal goes on in another one: press there.")
OTHER_CALL = "the consultant is in the call of another appeal"
#: What a person enters; the rest is done by a press, or by the clock.
ENTERED = (NotificationStep.TAKEN, *RESULTS, NotificationStep.WITHDRAWN)


class NotCalled(InvalidRequest):
    """The notification is begun, and nobody is called."""


@dataclass(frozen=True, slots=True)
class NextPress:
    """A press for the next number, and what its form showed.

    `attempts` so many were noted by then; `wrong_number`, if nobody of the body is at the one that
    was called last.
    """

    attempts: int
    reason: str = ""
    wrong_number: str | None = None


@dataclass(frozen=True, slots=True)
class NotificationService:
    """Service of urgent notifications. `commands` order calls, to numbers that the line calls."""

    engine: AsyncEngine
    keys: RecordKeys
    commands: CommandClient
    may_call: MayCall

    async def notify(self, actor: Actor, number: str, code: str) -> None:
        """Begin an urgent notification of a body, or go on with the open one, and call the body.

        While a call goes on, or is ordered, another press changes nothing. Raises NotFound,
        InvalidRequest; NotCalled, and the notification stays.
        """
        async with unit_of_work(self.engine) as connection:
            row = await _lock_appeal(connection, number)
            numbers = await self._read_numbers(connection, code)
            found = await store.lock_open(connection, row.id, code)
            notification = found or await store.insert_new(
                connection, row.id, body=code, author=actor.who
            )
            if _is_ordered(notification) or await _has_call(connection, notification, numbers):
                return
            tried = await _list_tried(connection, notification, numbers)
            await store.put_order(connection, notification.id, datetime.now(UTC))
            await audit_appeal(
                connection,
                actor,
                NotificationAction.BODY_CALLED,
                number,
                notification=str(notification.id),
                body=code,
                begun="no" if found else "yes",
            )
        numbers = order_numbers(numbers, [each for _, each in tried])
        await self._call(actor, row, notification, numbers)

    async def call_next(self, actor: Actor, number: str, identity: UUID, press: NextPress) -> None:
        """Note that who was called last did not take it, and call the next number.

        A wrong number is reported: nobody is given it until it is verified again. Raises as
        `take_step` and `notify`; InvalidRequest also when it went on since the form was shown.
        """
        step, facts = NotificationStep.NOT_TAKEN, NotificationFacts(press.reason)
        async with joined_unit_of_work(self.engine) as connection:
            row, notification = await self._lock(connection, number, identity)
            attempts = await store.list_attempts(connection, identity)
            is_answered = attempts and attempts[-1][1] is NotificationStep.CALLED
            is_calling = _is_ordered(notification) and not is_answered
            if is_calling or len(attempts) != press.attempts:
                raise InvalidRequest(WENT_ON)
            numbers = await self._read_numbers(connection, notification.body)
            if await _has_call(connection, notification, numbers):
                raise InvalidRequest(STILL_CALLED)
            tried = await _list_tried(connection, notification, numbers)
            if press.wrong_number:
                if press.wrong_number not in [each for _, each in tried[-1:]]:
                    raise InvalidRequest(OTHER_NUMBER)
                await self._report_wrong(connection, actor, notification.body, press.wrong_number)
            await store.put_order(connection, identity, None)
            noted_at = max((at for at, each in attempts if each is step), default=None)
            if tried and (noted_at is None or tried[-1][0] > noted_at):
                await self._take(connection, actor, row, notification, step, facts)
        await self.notify(actor, number, notification.body)

    async def take_step(
        self,
        actor: Actor,
        number: str,
        identity: UUID,
        step: NotificationStep,
        facts: NotificationFacts,
    ) -> None:
        """Note who took a notification, or what came of it.

        Once it is taken the danger is passed on: the record says to whom. Raises NotFound,
        InvalidRequest.
        """
        if step not in ENTERED:
            raise IllegalNotificationStep(NOT_NOW)
        async with unit_of_work(self.engine) as connection:
            row, notification = await self._lock(connection, number, identity)
            facts = check_facts(step, facts)
            move_notification(notification.state, step)
            if step is NotificationStep.TAKEN:
                [body] = (await bodies.read_bodies(connection, [notification.body])).values()
                name = body.name_on(datetime.now(ZONE).date()).ru
                whom = f"{name}: {facts.name}, {facts.post}"
                await report_danger_once(connection, self.keys, actor, row, whom)
            await self._take(connection, actor, row, notification, step, facts)

    async def _lock(
        self, connection: AsyncConnection, number: str, identity: UUID
    ) -> tuple[AppealRow, UrgentNotification]:
        """The appeal and its notification, locked until this transaction ends. Raises NotFound."""
        row = await _lock_appeal(connection, number)
        return row, await store.lock(connection, row.id, identity)

    async def _take(
        self,
        connection: AsyncConnection,
        actor: Actor,
        row: AppealRow,
        notification: UrgentNotification,
        step: NotificationStep,
        facts: NotificationFacts,
    ) -> None:
        """Take a step of a locked notification. Raises InvalidRequest."""
        facts, after = check_facts(step, facts), move_notification(notification.state, step)
        sealed = store.seal_facts(self.keys, notification.id, facts)
        await store.add_step(connection, notification, step, after, author=actor.who, sealed=sealed)
        await audit_step(connection, actor, row.number, notification, step)

    async def _read_numbers(self, connection: AsyncConnection, code: str) -> list[str]:
        """The numbers at which a body is called today. Raises InvalidRequest."""
        found, now = (await bodies.read_bodies(connection, [code])).get(code), datetime.now(UTC)
        is_there = found is not None and found.is_in_force(now.astimezone(ZONE).date())
        numbers = list_numbers(found, now, self.may_call) if found and is_there else []
        if not numbers:
            raise InvalidRequest(NO_NUMBER)
        return numbers

    async def _report_wrong(
        self, connection: AsyncConnection, actor: Actor, code: str, called: str
    ) -> None:
        """Report the contact of a body that has this number as one that does not work."""
        [body] = (await bodies.read_bodies(connection, [code])).values()
        for contact in body.usable(datetime.now(UTC)):
            if contact.id and parse_caller_id(contact.value).number == called:
                await directory.report_failure(self.engine, actor, code, contact.id, WRONG_NUMBER)

    async def _call(
        self,
        actor: Actor,
        row: AppealRow,
        notification: UrgentNotification,
        numbers: Sequence[str],
    ) -> None:
        """Order a call of the numbers, one after another. Raises NotCalled."""
        try:
            is_registered = await self._order_call(actor, row, numbers)
        except CallcenterError as exc:
            log.warning("urgent notification not called: %s: %s", notification.id, exc)
            async with unit_of_work(self.engine) as connection:
                await store.put_order(connection, notification.id, None)
            raise NotCalled(NOT_CALLED) from exc
        async with unit_of_work(self.engine) as connection:
            locked = await store.lock_wherever(connection, notification.id)
            step, who, at = NotificationStep.CALLED, actor.who, locked.ordered_at
            if locked.state in OPEN:
                await store.add_step(
                    connection, locked, step, locked.state, author=who, called=numbers[0], at=at
                )
            if is_registered:  # from now on the call itself says whether it goes on
                await store.put_order(connection, notification.id, None)

    async def _order_call(self, actor: Actor, row: AppealRow, numbers: Sequence[str]) -> bool:
        """Call the first number into the actor's conversation of this appeal, else all in a row.

        Returns whether it is a call of its own in the register.
        """
        extension = await find_own_extension(self.engine, actor)
        try:
            held = await self.commands.find_active_call(extension)
        except NoActiveCall:
            await start_call(
                self.engine,
                self.commands,
                actor,
                number=numbers[0],
                appeal=row.number,
                others=numbers[1:],
                is_urgent=True,
            )
            return True
        async with unit_of_work(self.engine) as connection:
            call = await find_consultant_call(connection, extension, held.id)
            is_ours = call is not None and await store.is_of(connection, call.number, row.id)
        if not is_ours:
            raise InvalidRequest(OTHER_CALL)
        order = CallCommand("call", "self", {"to": numbers[0], "urgent": "yes"})
        await self.commands.send_to_call(held, order)
        return False


def _is_ordered(notification: UrgentNotification) -> bool:
    """Whether a call of it is ordered by now."""
    ordered_at = notification.ordered_at
    return ordered_at is not None and datetime.now(UTC) - ordered_at < SAME_PRESS


async def _lock_appeal(connection: AsyncConnection, number: str) -> AppealRow:
    """The appeal, locked until this transaction ends. Raises NotFound, InvalidRequest."""
    row = await get_appeal(connection, number)
    await lock_appeal(connection, row.id)
    await require_request(connection, row.id)
    if await store.is_joined(connection, row.id):
        raise InvalidRequest(JOINED)
    return row


async def _has_call(
    connection: AsyncConnection, notification: UrgentNotification, numbers: Sequence[str]
) -> bool:
    """Whether a call of it goes on."""
    calls = await store.list_calls(connection, notification, numbers)
    return any(each.outcome is None for each in calls)


async def _list_tried(
    connection: AsyncConnection, notification: UrgentNotification, numbers: Sequence[str]
) -> list[tuple[datetime, str]]:
    """Numbers called since it began, each with its time, the last one last."""
    calls = await store.list_calls(connection, notification, numbers)
    made = [(each.began_at, each.number) for each in calls]
    ordered = await store.list_ordered(connection, notification.id)
    return sorted([*made, *ordered])


async def audit_step(
    connection: AsyncConnection,
    actor: Actor,
    number: str,
    notification: UrgentNotification,
    step: NotificationStep,
    **detail: int,
) -> None:
    """Add the audit entry of a step."""
    await audit_appeal(
        connection,
        actor,
        NotificationAction.NOTIFICATION_MOVED,
        number,
        notification=str(notification.id),
        body=notification.body,
        step=step.value,
        **detail,
    )
