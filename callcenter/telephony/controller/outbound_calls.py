"""Consultants' outbound calls: dialled on the softphone, or requested from the pages."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from callcenter.appeals.contact.service import ContactRefused
from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import CallcenterError, OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisReservation
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, OrderReplayed
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.conversation.feature_codes import extension_of
from callcenter.telephony.calls.journal.call_record import OutboundRecord
from callcenter.telephony.calls.journal.events import OutboundStarted
from callcenter.telephony.calls.outbound.outbound_call import (
    OutboundCall,
    play_failure,
    run_outbound_call,
)
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.calls.ports import Leg, LegHungUp, Reservation
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.outbound.authorization import (
    AuthorizedCall,
    OutboundRequest,
    TooOften,
    begin,
    begin_unwritten,
)
from callcenter.telephony.outbound.rules import EMERGENCY, NumberRefused

log = logging.getLogger(__name__)

#: What the telephone shows of a call that its consultant makes; telephone.js knows it by this.
OWN_CALL = "CALL"
WRITE_TIMEOUT = 2.0  # seconds that a call to 112 waits for the database, which writes it later

#: The prompt by the reason of a refusal; for all others: not possible now.
_REFUSALS: Mapping[type[CallcenterError], str] = {
    NumberRefused: "call_refused",
    TooOften: "call_too_often",
    ContactRefused: "call_unwanted",
}

CallFactory = Callable[[Leg, OutboundRecord, AuthorizedCall], Call]


def refusal_prompt(why: CallcenterError) -> str:
    """The prompt for a call that may not be made."""
    return _REFUSALS.get(type(why), "duty_refused")


@dataclass(frozen=True, slots=True)
class _Consultant:
    """The consultant who calls."""

    id: UUID
    extension: str


class OutboundCalls:
    """Outbound calls of one controller; a refused one has no effect, the caller hears why.

    Emergency services are called also when neither the distributor nor the database answers.
    """

    def __init__(self, dependencies: CallDependencies, make_call: CallFactory) -> None:
        """`make_call` makes the call of a called leg."""
        self._settings = dependencies.settings
        self._policy = dependencies.callers.number_policy
        self._distributor = dependencies.distributor
        self._engine = dependencies.engine
        self._journal = dependencies.journal
        self._switch = dependencies.switch
        self._prompts = dependencies.prompts
        self._active_calls = dependencies.active_calls
        self._make_call = make_call

    async def call_dialled(self, channel: Channel) -> None:
        """Call the number that a consultant dialled; nothing is left in Asterisk."""
        extension = extension_of(channel.name)
        try:
            if extension is None:
                log.error("outbound call refused: channel %s is no consultant's", channel.id)
                return
            request = OutboundRequest(self._policy.check(channel.dialled))
            if request.number not in EMERGENCY:
                # AMI reports this too, but perhaps later: no call must come in between.
                await self._distributor.update_devices({extension: "INUSE"}, channel.began_at)
            await self._call(extension, request, "dialled", channel.id, _answer(channel))
        except LegHungUp:
            return
        except CallcenterError as exc:
            log.warning("outbound call refused: consultant %s: %s", extension, exc)
            await self._play_refusal(channel, exc)
        finally:
            await self._switch.channels.hang_up(channel)

    async def end_lost_call(self, channel: Channel) -> None:
        """Tell a consultant whose call was lost with its controller, and hang up."""
        try:
            await self._play_refusal(channel, OperationFailed())
        finally:
            await self._switch.channels.hang_up(channel)

    async def call_requested(self, command: CallCommand, begun: "asyncio.Future[Answer]") -> None:
        """Ring the consultant, then the number; `begun` is answered before the telephone rings.

        Its exception says why there is no call.
        """
        extension = command.detail["extension"]
        appeal_id = command.detail.get("appeal_id")
        request = OutboundRequest(
            command.detail.get("number"),
            UUID(appeal_id) if appeal_id else command.detail.get("appeal"),
            despite_wish="despite_wish" in command.detail,
            id=UUID(command.order),
            others=tuple(command.detail.get("others", "").split()),
            is_urgent="urgent" in command.detail,
        )
        ring = self._switch.ring(extension, None, OWN_CALL, self._settings.ring_timeout)
        try:
            await self._call(extension, request, "asked", f"outgoing-{uuid4()}", ring, begun)
        except CallcenterError as exc:
            if not begun.done():
                begun.set_exception(exc)
        finally:
            begun.cancel()  # nothing happens to one that is answered

    async def _call(
        self,
        extension: str,
        request: OutboundRequest,
        how: str,
        leg_id: str,
        own: AbstractAsyncContextManager[Leg],
        begun: "asyncio.Future[Answer] | None" = None,
    ) -> None:
        call_id = f"outgoing-{uuid4()}"
        async with AsyncExitStack() as stack:
            reservation = await self._reserve(stack, call_id, extension, request)
            left = [request.number, *request.others]
            consultant, start = await self._begin_next(extension, request, left, leg_id)
            record = self._open_record(start)
            if begun is not None:
                if begun.done():  # too late: the requester was told of a failure, and may try again
                    record.close(Outcome.LOST_TO_A_FAULT)
                    return
                begun.set_result({"call": str(start.call.id), "appeal": start.appeal})
            out = OutboundCall(
                consultant=consultant,
                number=start.call.number,
                shown=self._settings.shown_number,
                how=how,
                language=start.language,
                record=record,
                reservation=reservation,
                stack=stack,
                switch=self._switch,
                sounds=self._prompts,
                ring_timeout=self._settings.called_ring_timeout,
                conversation=self._conversation(record, start, call_id),
                has_next=bool(left),
            )
            outcome = await self._run_to_outcome(out, own, record)
            await self._call_others(out, outcome, request, left, call_id)

    async def _call_others(
        self,
        out: OutboundCall,
        outcome: Outcome,
        request: OutboundRequest,
        left: list[str | None],
        call_id: str,
    ) -> None:
        """Call the numbers that are left one after another, while nobody is reached.

        The consultant's telephone stays connected: whoever hangs it up ends this. Each is a call of
        its own on the appeal. It hears why after the last, also when no further one may be called.
        """
        leg, extension, further = out.leg, out.consultant.extension, replace(request, id=None)
        while left and leg is not None and outcome is Outcome.NOT_REACHED:
            try:
                _, start = await self._begin_next(extension, further, left, f"outgoing-{uuid4()}")
            except CallcenterError as exc:
                log.warning("no further number called: consultant %s: %s", extension, exc)
                with suppress(LegHungUp):
                    await play_failure(out, leg)
                return
            record = self._open_record(start)
            out = replace(
                out,
                number=start.call.number,
                record=record,
                conversation=self._conversation(record, start, call_id),
                has_next=bool(left),
                if_left=Outcome.GIVEN_UP,
            )
            outcome = await self._run_to_outcome(out, nullcontext(leg), record)

    async def _begin_next(
        self, extension: str, request: OutboundRequest, left: list[str | None], leg_id: str
    ) -> tuple[_Consultant, AuthorizedCall]:
        """Begin a call of the first number that may be called; `left` are those after it.

        Raises why the last one may not; OrderReplayed.
        """
        while True:
            each = replace(request, number=left.pop(0))
            try:
                return await self._begin(extension, each, leg_id)
            except OrderReplayed:
                raise
            except CallcenterError as exc:
                if not left:
                    raise
                log.warning("number passed over: consultant %s: %s", extension, exc)

    def _open_record(self, start: AuthorizedCall) -> OutboundRecord:
        call = start.call
        return self._journal.open_outbound(call.id, call.appeal_id, call.first_seq)

    def _conversation(
        self, record: OutboundRecord, start: AuthorizedCall, call_id: str
    ) -> Callable[[Leg], Call]:
        def begin_conversation(leg: Leg) -> Call:
            call = self._make_call(leg, record, start)
            self._active_calls.begin(call, call_id)
            return call

        return begin_conversation

    async def _run_to_outcome(
        self, out: OutboundCall, own: AbstractAsyncContextManager[Leg], record: OutboundRecord
    ) -> Outcome:
        """Run to one outcome, whatever happens, and return it."""
        outcome = Outcome.LOST_TO_A_FAULT
        try:
            outcome = await run_outbound_call(out, own)
        except OperationFailed as exc:
            log.error("outbound call failed: consultant %s: %s", out.consultant.extension, exc)
        finally:
            self._active_calls.end(record)
            record.close(outcome)
        return outcome

    async def _reserve(
        self, stack: AsyncExitStack, call_id: str, extension: str, request: OutboundRequest
    ) -> Reservation:
        try:
            return await stack.enter_async_context(self._distributor.reserve(call_id, extension))
        except CallcenterError as exc:
            if request.number not in EMERGENCY:
                raise
            log.error("emergency call without a reservation: consultant %s: %s", extension, exc)
            return RedisReservation()

    async def _begin(
        self, extension: str, request: OutboundRequest, leg_id: str
    ) -> tuple[_Consultant, AuthorizedCall]:
        if request.number is None or request.number not in EMERGENCY:
            return await self._authorize(extension, request, leg_id)
        # A database that hangs may hold up the end of this too, so that is not waited for.
        writing = asyncio.create_task(self._authorize(extension, request, leg_id))
        writing.add_done_callback(_discard_result)
        try:
            done, _ = await asyncio.wait((writing,), timeout=WRITE_TIMEOUT)
            if done:
                return writing.result()
        except OperationFailed as exc:
            log.error("emergency call not written yet: consultant %s: %s", extension, exc)
        finally:
            writing.cancel()
        return self._authorize_unwritten(extension, request, request.number, leg_id)

    def _authorize_unwritten(
        self, extension: str, request: OutboundRequest, number: str, leg_id: str
    ) -> tuple[_Consultant, AuthorizedCall]:
        """Leave it to the journal to write the call, perhaps after it is over."""
        found = self._distributor.find_consultant(extension)
        if found is None:
            raise OperationFailed(f"consultant {extension} is not on the roster read last")
        number = self._policy.check(number)
        begun = begin_unwritten(number, request, consultant_id=found.id, call_id=leg_id)
        call = begun.call
        self._journal.append(
            OutboundStarted(call.appeal_id, call.id, leg_id, number, found.id, call.began_at)
        )
        return _Consultant(found.id, extension), begun

    async def _authorize(
        self, extension: str, request: OutboundRequest, leg_id: str
    ) -> tuple[_Consultant, AuthorizedCall]:
        try:
            async with unit_of_work(self._engine) as connection:
                caller = _Consultant(await consultants.id_of(connection, extension), extension)
                return caller, await begin(
                    connection,
                    self._policy,
                    self._settings,
                    request,
                    consultant_id=caller.id,
                    call_id=leg_id,
                )
        except IntegrityError as exc:
            if request.id is None:
                raise OperationFailed("the database failed: IntegrityError") from exc
            raise OrderReplayed from exc  # there is a call of this id
        except (SQLAlchemyError, OSError) as exc:
            raise OperationFailed(f"the database failed: {type(exc).__name__}") from exc

    async def _play_refusal(self, channel: Channel, why: CallcenterError) -> None:
        try:
            await channel.answer()
            sounds = [self._prompts.sound(each, refusal_prompt(why)) for each in CALLER_LANGUAGES]
            await channel.play(sounds, until_key=False)
        except (LegHungUp, OperationFailed) as exc:
            log.info("refusal not played: %s", exc)


@asynccontextmanager
async def _answer(channel: Channel) -> AsyncIterator[Leg]:
    await channel.answer()
    try:
        yield channel
    finally:
        await asyncio.shield(channel.hang_up())


def _discard_result(writing: "asyncio.Task[tuple[_Consultant, AuthorizedCall]]") -> None:
    """Take the result of a write that came too late, so that it is not reported as unread."""
    if not writing.cancelled():
        writing.exception()
