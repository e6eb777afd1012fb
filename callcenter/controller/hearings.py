"""Messages that callers left are offered to consultants who are idle; see `line/hearing.py`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.appeals.outgoing import Outgoing
from callcenter.consultants.desk import Desk, Place
from callcenter.consultants.order import MESSAGE
from callcenter.consultants.store import Consultant
from callcenter.controller.callbacks import CallingBack
from callcenter.controller.laying_out import AudioDesk
from callcenter.controller.outbound import refusal_prompt
from callcenter.dialling.beginning import Wanted, begin
from callcenter.dialling.numbers import NumberPolicy
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.line import ports
from callcenter.line.hearing import Audio, Hearing, Wish, heard
from callcenter.line.outcomes import Moment
from callcenter.promises import store
from callcenter.promises.states import State
from callcenter.promises.store import Claimed
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hearings:
    """How messages are heard (`callcenter.controller.owed.Way`)."""

    settings: Settings
    controller: str
    engine: AsyncEngine
    desk: Desk
    switch: ports.Switch
    sounds: ports.Sounds
    audio_desk: AudioDesk
    numbers: NumberPolicy
    calling: CallingBack

    def is_over(self, owed: Claimed) -> State | None:
        """Never: a message is offered until somebody says that it is done."""
        return None

    @asynccontextmanager
    async def place(self, owed: Claimed) -> AsyncIterator[Place]:
        """Behind all callers; an urgent one stands where an urgent caller would.

        Whoever has the appeal gets it, if that consultant is free now. Raises WeFailed when nobody
        could lay the audio out: no telephone is rung in vain.
        """
        await self.audio_desk.must_be_there()
        async with self.desk.place(
            f"{MESSAGE}{owed.id}",
            owed.language,
            arrived=owed.arrived_at.timestamp(),
            urgent=owed.urgent,
            behind=True,
            preferred=owed.had_by,
        ) as place:
            yield place

    async def attempt(self, owed: Claimed, place: Place, consultant: Consultant) -> bool:
        """Have it heard, and call the applicant if that is wished."""
        message = Message(self, owed, place.call_id)
        hearing = Hearing(
            message=message,
            language=owed.language,
            shown=" ".join([owed.language, *(each.upper() for each in owed.urgencies), "MESSAGE"]),
            ring_timeout=self.settings.ring_timeout,
            key_timeout=self.settings.key_timeout,
            sounds=self.sounds,
            switch=self.switch,
        )
        wish = await heard(hearing, place, consultant)
        if message.call is not None:
            attempt = owed.attempts + 1
            await self.calling.call(
                owed, message.call, place, attempt=attempt, becomes=lambda _: None
            )
        return wish is not Wish.UNANSWERED


class Message:
    """One that a consultant is offered (`line.hearing.Message`).

    `call` is that to the applicant, once it has been put down.
    """

    def __init__(self, parts: Hearings, owed: Claimed, place_id: str) -> None:
        self.call: Outgoing | None = None
        self._parts = parts
        self._owed = owed
        self._place_id = place_id

    @asynccontextmanager
    async def played_to(self, consultant: ports.Consultant) -> AsyncIterator[Audio]:
        """Its audio within the block; from now on it is due again after the set pause."""
        owed, parts = self._owed, self._parts
        pause = timedelta(seconds=parts.settings.message_pause)
        async with self._transaction() as connection:
            now = datetime.now(UTC)
            if not await store.attempt(connection, parts.controller, owed.id, now, pause):
                raise WeFailed("the message is another controller's by now, or nobody's task")
            await appeals.set_consultant(
                connection, appeal_id=owed.appeal_id, consultant_id=consultant.id
            )
            await self._note(connection, Moment.MESSAGE_PLAYED, consultant)
        async with parts.audio_desk.laid_out(owed.id, _who(consultant)) as audio:
            yield audio

    async def done(self, consultant: ports.Consultant) -> None:
        """It is open no more; nothing changes when somebody else ended it meanwhile."""
        async with self._transaction() as connection:
            now, by = datetime.now(UTC), _who(consultant)
            if await store.end(connection, self._owed.id, State.DONE, now, by=by):
                await self._note(connection, Moment.MESSAGE_DONE, consultant)

    async def call_begun(self, consultant: ports.Consultant) -> str | None:
        """As any call of a consultant's about an appeal: some are refused."""
        try:
            async with self._transaction() as connection:
                begun = await begin(
                    connection,
                    self._parts.numbers,
                    self._parts.settings,
                    Wanted(None, self._owed.appeal),
                    consultant_id=consultant.id,
                    call_id=self._place_id,
                )
        except AskedWrongly as exc:
            log.warning("message %s: the applicant is not called: %s", self._owed.id, exc)
            return refusal_prompt(exc)
        self.call = begun.call
        return None

    async def _note(
        self, connection: AsyncConnection, moment: Moment, consultant: ports.Consultant
    ) -> None:
        await appeals.append_event(
            connection,
            appeal_id=self._owed.appeal_id,
            at=datetime.now(UTC),
            kind=moment,
            detail={"consultant": consultant.extension},
        )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with unit_of_work(self._parts.engine) as connection:
                yield connection
        except (SQLAlchemyError, OSError) as exc:
            raise WeFailed(f"the database failed: {type(exc).__name__}") from exc


def _who(consultant: ports.Consultant) -> str:
    return f"consultant:{consultant.extension}"
