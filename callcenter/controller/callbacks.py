"""Calling back: the number that was promised a call, or the applicant who left a message.

The attempt is put down in PostgreSQL, then the number is called; see `line/callback.py`.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import outgoing
from callcenter.appeals.outgoing import Outgoing
from callcenter.consultants.desk import Desk
from callcenter.consultants.desk import Place as DeskPlace
from callcenter.consultants.order import CALLBACK
from callcenter.consultants.store import Consultant
from callcenter.controller.owed import FAULTS
from callcenter.controller.under_way import UnderWay
from callcenter.line.call import Call
from callcenter.line.callback import Callback, called_back
from callcenter.line.entries import PromiseEnded
from callcenter.line.journal import Journal
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import Leg, Switch
from callcenter.line.records import OutgoingRecord
from callcenter.promises import store
from callcenter.promises.states import State, pause_after
from callcenter.promises.store import Claimed
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

AFTER_THE_LAST = timedelta(minutes=10)  # an attempt that is under way for longer died


class PromiseRecord(OutgoingRecord):
    """What is kept of one attempt. The promise is kept as soon as the two hear each other.

    So no death of ours in the middle of the conversation has the applicant called once more.
    """

    def __init__(self, journal: Journal, call: Outgoing, promise_id: UUID) -> None:
        super().__init__(journal, call.appeal_id, call.id, call.first_moment)
        self._promise_id = promise_id

    def moment(self, moment: Moment, **detail: str | bool | float) -> None:
        """Note that something happened now."""
        if moment in (Moment.CONNECTED, Moment.REDIRECTED):
            self.ended(State.KEPT)
        super().moment(moment, **detail)

    def ended(self, state: State) -> None:
        """The promise is open no more; the first end stays."""
        self._journal.put(
            PromiseEnded(self.appeal_id, self._promise_id, state.value, datetime.now(UTC))
        )


Conversation = Callable[[Leg, PromiseRecord, Claimed, str], Call]


class CallingBack:
    """Calls that are put down already, for whoever is leased to a place at the desk."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        switch: Switch,
        conversation: Conversation,
        under_way: UnderWay,
    ) -> None:
        """`conversation` makes the call of a leg that answered, with the number that was called."""
        self._settings = settings
        self._journal = journal
        self._switch = switch
        self._conversation = conversation
        self._under_way = under_way

    async def call(
        self,
        owed: Claimed,
        call: Outgoing,
        place: DeskPlace,
        *,
        attempt: int,
        becomes: Callable[[Outcome], State | None],
    ) -> None:
        """Call, and connect with the consultant whom `place` holds.

        The promise is kept once the two hear each other; otherwise it ends as what it `becomes`
        by the outcome, or stays open (None). What fails is an outcome, and raises nothing.
        """
        record = PromiseRecord(self._journal, call, owed.id)
        outcome = Outcome.LOST_TO_A_FAULT
        try:
            outcome = await self._called(owed, call.number, place, record, attempt)
        finally:
            if (state := becomes(outcome)) is not None:  # one that was kept stays so
                record.ended(state)
            record.closed(outcome)

    async def _called(
        self, owed: Claimed, number: str, place: DeskPlace, record: PromiseRecord, attempt: int
    ) -> Outcome:
        back = Callback(
            number=number,
            shown=self._settings.shown_number,
            attempt=attempt,
            ring_timeout=self._settings.called_ring_timeout,
            record=record,
            switch=self._switch,
            conversation=lambda leg: self._answered(
                self._conversation(leg, record, owed, number), place.call_id
            ),
        )
        try:
            return await called_back(back, place)
        except FAULTS as exc:
            log.error("callback %s failed: %s", owed.id, exc)
        except Exception:
            log.exception("callback %s: our part failed", owed.id)
        finally:
            self._under_way.end(record)
        return Outcome.LOST_TO_A_FAULT

    def _answered(self, call: Call, place_id: str) -> Call:
        # Orders for its consultant come by what the desk leased to: at first the promise's place.
        self._under_way.begin(call, place_id)
        return call


class Callbacks:
    """How promises to call back are carried out (`callcenter.controller.owed.Way`)."""

    def __init__(
        self,
        settings: Settings,
        controller: str,
        engine: AsyncEngine,
        desk: Desk,
        calling: CallingBack,
        is_blocked: Callable[[str | None], bool],
    ) -> None:
        self._settings = settings
        self._controller = controller
        self._engine = engine
        self._desk = desk
        self._calling = calling
        self._is_blocked = is_blocked

    def is_over(self, owed: Claimed) -> State | None:
        """After the last attempt, and when the number was blocked meanwhile."""
        if owed.attempts > len(self._settings.callback_pauses):
            return State.UNREACHED  # we died in the last attempt
        return State.BLOCKED if self._is_blocked(owed.number) and not owed.urgent else None

    def place(self, owed: Claimed) -> AbstractAsyncContextManager[DeskPlace]:
        """That of the call in which the promise was made."""
        return self._desk.place(
            f"{CALLBACK}{owed.id}",
            owed.language,
            arrived=owed.arrived_at.timestamp(),
            urgent=owed.urgent,
        )

    async def attempt(self, owed: Claimed, place: DeskPlace, consultant: Consultant) -> bool:
        """Call once. Whether the consultant answers is seen once the applicant has."""
        attempt = owed.attempts + 1
        pause = pause_after(attempt, self._settings.callback_pauses)

        def becomes(outcome: Outcome) -> State | None:
            if outcome is Outcome.DECLINED:
                return State.DECLINED
            return State.UNREACHED if pause is None else None

        call = await self._begun(owed, place.call_id, pause or AFTER_THE_LAST)
        if call is not None:
            await self._calling.call(owed, call, place, attempt=attempt, becomes=becomes)
        return True

    async def _begun(self, owed: Claimed, place_id: str, pause: timedelta) -> Outgoing | None:
        """The attempt as the database knows it; None when the promise is not ours any more."""
        if owed.number is None:
            return None
        now = datetime.now(UTC)
        async with unit_of_work(self._engine) as connection:
            if not await store.attempt(connection, self._controller, owed.id, now, pause):
                return None
            return await outgoing.begin(
                connection,
                appeal_id=owed.appeal_id,
                call_id=place_id,
                number=owed.number,
                consultant_id=None,
                began_at=now,
            )
