"""Call back: callbacks that were requested.

The attempt is written to PostgreSQL, then the number is called; see `calls.outbound.callback`.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.contact import service as contact
from callcenter.consultants.store import Consultant
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisQueuePlace
from callcenter.telephony.acd.rules.priority import CALLBACK
from callcenter.telephony.callbacks import store
from callcenter.telephony.callbacks.rules import CALLBACK_WAY, CallbackState, pause_after
from callcenter.telephony.callbacks.store import ClaimedCallback
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.journal.call_record import OutboundRecord
from callcenter.telephony.calls.journal.events import CallbackClosed
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.outbound.callback import CallbackAttempt, run_callback
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import Leg
from callcenter.telephony.controller.callback_scheduler import FAULTS
from callcenter.telephony.controller.dependencies import CallDependencies

log = logging.getLogger(__name__)

LAST_ATTEMPT_TIMEOUT = timedelta(minutes=10)  # an attempt that lasts longer has died


class CallbackRecord(OutboundRecord):
    """The record of one attempt; closes the callback as soon as the two hear each other.

    So no death of ours in the middle of the conversation has the applicant called once more.
    """

    def __init__(self, journal: Journal, call: OutboundCallRow, callback_id: UUID) -> None:
        super().__init__(journal, call.appeal_id, call.id, call.first_seq)
        self._callback_id = callback_id

    def add_event(self, event: CallEvent, **detail: str | bool | float) -> None:
        """Record an event that happens now."""
        if event in (CallEvent.CONNECTED, CallEvent.REDIRECTED):
            self.close_callback(CallbackState.REACHED)
        super().add_event(event, **detail)

    def close_callback(self, state: CallbackState) -> None:
        """Close the callback; the first end stays."""
        self._journal.append(
            CallbackClosed(self.appeal_id, self._callback_id, state.value, datetime.now(UTC))
        )


CallFactory = Callable[[Leg, CallbackRecord, ClaimedCallback, str], Call]


class CallbackDialer:
    """Makes calls that are in the database already, for the consultant whom a place holds."""

    def __init__(self, dependencies: CallDependencies, make_call: CallFactory) -> None:
        """`make_call` makes the call of a leg that answered, with the number that was called."""
        self._settings = dependencies.settings
        self._journal = dependencies.journal
        self._switch = dependencies.switch
        self._active_calls = dependencies.active_calls
        self._make_call = make_call

    async def call(
        self,
        callback: ClaimedCallback,
        call: OutboundCallRow,
        place: RedisQueuePlace,
        *,
        attempt: int,
        becomes: Callable[[Outcome], CallbackState | None],
    ) -> None:
        """Call, and connect with the consultant whom `place` holds.

        The callback is done once the two hear each other; otherwise it ends as what it `becomes`
        by the outcome, or stays open (None). What fails is an outcome, and raises nothing.
        """
        record = CallbackRecord(self._journal, call, callback.id)
        outcome = Outcome.LOST_TO_A_FAULT
        try:
            outcome = await self._dial(callback, call.number, place, record, attempt)
        finally:
            if (state := becomes(outcome)) is not None:  # one that was kept stays so
                record.close_callback(state)
            record.close(outcome)

    async def _dial(
        self,
        callback: ClaimedCallback,
        number: str,
        place: RedisQueuePlace,
        record: CallbackRecord,
        attempt: int,
    ) -> Outcome:
        back = CallbackAttempt(
            number=number,
            shown=self._settings.shown_number,
            attempt=attempt,
            ring_timeout=self._settings.called_ring_timeout,
            record=record,
            switch=self._switch,
            conversation=lambda leg: self._begin_call(
                self._make_call(leg, record, callback, number), place.call_id
            ),
        )
        try:
            return await run_callback(back, place)
        except FAULTS as exc:
            log.error("callback failed: %s: %s", callback.id, exc)
        except Exception:
            log.exception("callback failed: %s: our fault", callback.id)
        finally:
            self._active_calls.end(record)
        return Outcome.LOST_TO_A_FAULT

    def _begin_call(self, call: Call, place_id: str) -> Call:
        # Commands of its consultant name what the distributor leased to: at first this place.
        self._active_calls.begin(call, place_id)
        return call


class CallbackHandler:
    """Carries callback requests out (`callback_scheduler.DeferredHandler`)."""

    def __init__(self, dependencies: CallDependencies, dialer: CallbackDialer) -> None:
        self._settings = dependencies.settings
        self._instance = dependencies.instance
        self._engine = dependencies.engine
        self._distributor = dependencies.distributor
        self._blocklist = dependencies.callers.blocklist
        self._dialer = dialer

    def is_over(self, callback: ClaimedCallback) -> CallbackState | None:
        """The end of a callback after its last attempt, or whose number is blocked meanwhile."""
        if callback.attempts > len(self._settings.callback_pauses):
            return CallbackState.UNREACHED  # we died in the last attempt
        is_blocked = self._blocklist.blocks(callback.number) and not callback.urgent
        return CallbackState.BLOCKED if is_blocked else None

    def place(self, callback: ClaimedCallback) -> AbstractAsyncContextManager[RedisQueuePlace]:
        """The place of the call in which the callback was requested."""
        return self._distributor.place(
            f"{CALLBACK}{callback.id}",
            callback.language,
            arrived=callback.arrived_at.timestamp(),
            urgent=callback.urgent,
        )

    async def attempt(
        self, callback: ClaimedCallback, place: RedisQueuePlace, consultant: Consultant
    ) -> bool:
        """Call once; always true: the consultant is rung once the applicant has answered."""
        attempt = callback.attempts + 1
        pause = pause_after(attempt, self._settings.callback_pauses)

        def becomes(outcome: Outcome) -> CallbackState | None:
            if outcome is Outcome.DECLINED:
                return CallbackState.DECLINED
            return CallbackState.UNREACHED if pause is None else None

        call = await self._begin_attempt(callback, place.call_id, pause or LAST_ATTEMPT_TIMEOUT)
        if call is not None:
            await self._dialer.call(callback, call, place, attempt=attempt, becomes=becomes)
        return True

    async def _begin_attempt(
        self, callback: ClaimedCallback, place_id: str, pause: timedelta
    ) -> OutboundCallRow | None:
        """Write the attempt to the database; None when there is none to be made.

        The callback is not ours any more; or its person, who may have spoken after the request,
        is not to be called: then it ends, or waits for the hours that they gave.
        """
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            verdict = await contact.read_verdict(connection, CALLBACK_WAY, number=callback.number)
            if verdict.not_before is not None:
                await store.postpone(connection, self._instance, callback.id, verdict.not_before)
                return None
            if not verdict.allowed:
                log.warning("callback refused: %s: the person asked not to be called", callback.id)
                await store.end(connection, callback.id, CallbackState.UNWANTED, now)
                return None
            if not await store.attempt(connection, self._instance, callback.id, now, pause):
                return None
            return await outbound_calls.begin(
                connection,
                appeal_id=callback.appeal_id,
                call_id=place_id,
                number=callback.number,
                consultant_id=None,
                began_at=now,
            )
