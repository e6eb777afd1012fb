"""Supervision of a conversation: listen, whisper, barge in, take over.

The supervisor's telephone is rung. Modes change without hanging up, and caller and consultant do
not notice a supervisor who listens. One supervisor at a time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from uuid import UUID

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    Answer,
    CallCommand,
    CommandRefused,
    SupervisionMode,
)
from callcenter.telephony.calls.call import Call, while_connected
from callcenter.telephony.calls.conversation.conversation import Conversation
from callcenter.telephony.calls.conversation.participants import ConsultantParty
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.calls.ports import Leg, LegHungUp, NotAnswered

log = logging.getLogger(__name__)

POLL_INTERVAL = 0.5  # seconds between two checks for a change of the consultant


@asynccontextmanager
async def allow_supervision(talk: Conversation) -> AsyncIterator[None]:
    """Allow supervision of the conversation within the block; end it after."""
    supervision = Supervision(talk)
    talk.claim_supervisor, talk.end_supervision = supervision.claim, supervision.leave
    try:
        with talk.call.commands.handled_by(supervision.take):
            yield
    finally:  # no command is accepted any more
        await supervision.end()


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A supervisor with a telephone (`calls.ports.ConsultantPort`)."""

    id: UUID
    extension: str
    hears: frozenset[str] | None = None  #: extensions; None: all

    def may_hear(self, consultant: ConsultantParty | None) -> bool:
        """Whether this supervisor may hear the current consultant."""
        return self.hears is None or consultant is None or consultant.name in self.hears


class Supervision:
    """Supervision of one conversation, by at most one supervisor."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._call = talk.call
        self._mode = SupervisionMode.LEAVE
        self._supervisor_name = ""
        self._changed = asyncio.Event()
        self._joined: ConsultantParty | None = None  # while the caller hears the supervisor
        self._task: asyncio.Task[None] | None = None

    async def take(self, command: CallCommand) -> Answer | None:
        """Start or change the mode; returns at once, while the supervisor's telephone rings.

        Raises CommandRefused when another supervisor is there, or none who could leave.
        """
        if command.what != SUPERVISE:
            return None
        mode = SupervisionMode(command.detail["mode"])
        is_there = self._task is not None and not self._task.done()
        if is_there and command.by != self._supervisor_name:
            raise CommandRefused("another supervisor is in this conversation")
        if not is_there and mode is SupervisionMode.LEAVE:
            raise CommandRefused("you are not in this conversation")
        if mode is not SupervisionMode.LEAVE and not self._is_of(command.consultant):
            raise CommandRefused("another consultant has the call")
        self._mode, self._supervisor_name = mode, command.by
        self._changed.set()
        if not is_there:
            self._task = asyncio.create_task(self._supervise(_supervisor(command)))
        return {"mode": mode.value, "state": "changed" if is_there else "ringing"}

    def _is_of(self, consultant: str) -> bool:
        """Whether this consultant is in the conversation: Redis says whose call it is."""
        parties = (self._talk.consultant, self._talk.third_party)
        return consultant in [each.name for each in parties if each is not None]

    def claim(self) -> ConsultantParty | None:
        """Give the supervisor whom the caller hears as the next consultant; ends supervision.

        None, and nothing ends: the caller hears none. Whoever claims hangs up.
        """
        joined, self._joined = self._joined, None
        if joined is None:
            return None
        self.leave()
        self._call.on_supervisor_claimed(self._talk.last_consultant)
        return replace(joined, stack=joined.stack.pop_all())

    def leave(self) -> None:
        """Have the supervisor leave; returns at once."""
        self._mode = SupervisionMode.LEAVE
        self._changed.set()

    async def end(self) -> None:
        """End supervision; returns when the supervisor is hung up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _supervise(self, supervisor: Supervisor) -> None:
        """Ring the supervisor and run the modes; no fault of it ends the conversation."""
        call, extension = self._call, supervisor.extension
        ring = call.switch.ring(extension, call.leg, "SUPERVISION", call.times.ring_timeout)
        try:
            async with AsyncExitStack() as stack:
                try:
                    leg = await stack.enter_async_context(ring)
                except NotAnswered as why:
                    self._record_end(extension, why=str(why))
                    return
                try:
                    party = ConsultantParty(supervisor, leg, stack)
                    await while_connected(leg, self._run_modes(party, supervisor))
                    allowed = supervisor.may_hear(self._talk.consultant)
                    if self._mode is SupervisionMode.TAKE_OVER and allowed:
                        await self._take_over(replace(party, stack=stack.pop_all()))
                finally:
                    self._record_end(extension)
        except (LegHungUp, NotAnswered, CommandRefused):
            return
        except OperationFailed as exc:
            log.error("supervision failed: call %s: %s", call.leg.id, exc)
        except Exception:
            log.exception("supervision failed: call %s: our fault", call.leg.id)

    async def _run_modes(self, party: ConsultantParty, supervisor: Supervisor) -> None:
        """Run modes until the supervisor leaves, or may not hear the current consultant."""
        while (mode := self._mode) not in (SupervisionMode.LEAVE, SupervisionMode.TAKE_OVER):
            self._changed.clear()
            consultant = self._talk.consultant
            if not supervisor.may_hear(consultant):
                return
            async with self._join_as(mode, party.leg):
                self._record_mode(mode, supervisor.extension)
                self._joined = party if mode is SupervisionMode.JOIN else None
                try:
                    while self._mode is mode and self._talk.consultant in (consultant, None):
                        with suppress(TimeoutError):
                            async with asyncio.timeout(POLL_INTERVAL):
                                await self._changed.wait()
                        self._changed.clear()
                finally:
                    self._joined = None

    async def _take_over(self, taker: ConsultantParty) -> None:
        """Transfer the call to the supervisor, who is hung up with it."""
        self._record_mode(SupervisionMode.TAKE_OVER, taker.name)
        try:
            await self._talk.request_takeover(taker)
        finally:
            if self._talk.consultant is not taker:
                await asyncio.shield(taker.stack.aclose())

    def _record_end(self, extension: str, **why: str) -> None:
        self._call.record.add_event(CallEvent.SUPERVISION_ENDED, supervisor=extension, **why)

    def _record_mode(self, mode: SupervisionMode, extension: str) -> None:
        self._call.record.add_event(
            CallEvent.SUPERVISED, mode=mode.value, by=self._supervisor_name, supervisor=extension
        )

    def _join_as(self, mode: SupervisionMode, leg: Leg) -> AbstractAsyncContextManager[None]:
        if mode is SupervisionMode.JOIN:
            return self._talk.join(leg)
        if self._talk.consultant is None:  # the consultant just hung up
            raise NotAnswered("left")
        whispering = mode is SupervisionMode.WHISPER
        return self._call.switch.snoop(self._talk.consultant.leg, leg, whispering=whispering)


async def reserve_supervisor(call: Call, taker: ConsultantParty) -> None:
    """Reserve a supervisor who has a call now, unless signed out: then there are no offers.

    It comes after the transfer: without Redis it takes seconds.
    """
    with suppress(InvalidRequest, OperationFailed):
        reservation = call.distributor.reserve(call.next_place_id(), taker.name)
        (await taker.stack.enter_async_context(reservation)).has_talked = True


def _supervisor(command: CallCommand) -> Supervisor:
    hears = command.detail.get("hears")
    return Supervisor(
        UUID(command.detail["id"]),
        command.detail["extension"],
        None if hears is None else frozenset(hears.split()),
    )
