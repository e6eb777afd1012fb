"""Conversation of a caller, a consultant and maybe a third party: bridge, hold, recording.

Commands and events are handled in `commands.py`. A caller on hold hears music only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.calls.call import Call, run_to_completion
from callcenter.telephony.calls.conversation.caller_audio import CallerAudio
from callcenter.telephony.calls.conversation.command_queue import CommandQueue
from callcenter.telephony.calls.conversation.events import (
    CommandRequested,
    OngoingConversation,
    PartyAnswered,
    PartyLeft,
    PartyUnanswered,
)
from callcenter.telephony.calls.conversation.participants import (
    ConsultantParty,
    ThirdParty,
    ring_again,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import (
    Bridge,
    Leg,
    LegHungUp,
    LegLost,
    NotAnswered,
    TransferReport,
)
from callcenter.telephony.calls.recording_session import RecordingSession

OVER = "the conversation has ended"
RETRY_INTERVAL = 2.0  # seconds between retries of recording and repair


class Conversation:
    """Made by `conversation`. One task makes all changes of the bridge."""

    def __init__(
        self, call: Call, bridge: Bridge, consultant: ConsultantParty | None, can: Collection[str]
    ) -> None:
        """`can` are the supported commands."""
        self.call = call
        #: The consultant of the call; None once that one has left.
        self.consultant: ConsultantParty | None = consultant
        self.last_consultant = "" if consultant is None else consultant.name  #: its extension
        self.third_party: ThirdParty | None = None
        self.takeover_party: ConsultantParty | None = None  #: a supervisor who takes over
        #: Gives the supervisor who speaks with both, if there is one, as next consultant.
        self.claim_supervisor: Callable[[], ConsultantParty | None] = _no_supervisor
        self.end_supervision: Callable[[], None] = _end_none  #: returns at once
        self.is_on_hold = False  #: the caller is
        self.is_held_by_telephone = False  #: whose hold button alone ends it
        self.is_muted = False  #: the consultant is
        #: On the monotonic clock: when the consultant, a supervisor who had joined another one,
        #: surely knows of having the caller now. 0: at once.
        self.supervisor_knows_at = 0.0
        self.is_blind_transfer = False  #: the third party gets the caller on answer
        self.recording = RecordingSession(call)
        self.caller_audio = CallerAudio(call.leg)
        self._commands = CommandQueue(can, call.times.redirect_keys)
        self._bridge = bridge
        self._music = AsyncExitStack()
        self._calling: asyncio.Task[ThirdParty] | None = None
        self._is_consultant = False
        self._recording_retry: asyncio.Task[None] | None = None
        self._repair: asyncio.Task[None] | None = None
        self._is_repaired = True

    # Commands and events

    async def next(self) -> CommandRequested | PartyLeft | PartyAnswered | PartyUnanswered:
        """Wait for the next command, hangup or answer.

        Cancelling loses nothing: a command stays queued until this returns.
        """
        requested = asyncio.ensure_future(self._commands.wait())
        parties = [each for each in (self.consultant, self.third_party) if each is not None]
        leaving = {asyncio.ensure_future(_wait_gone(each.leg)): each for each in parties}
        calling = [] if self._calling is None else [self._calling]
        try:
            await asyncio.wait((requested, *leaving, *calling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (requested, *leaving):
                each.cancel()
            await asyncio.gather(requested, *leaving, return_exceptions=True)
        if (command := self._commands.next()) is not None:
            return command
        for left, who in leaving.items():
            if not left.cancelled():
                left.result()
                return PartyLeft(who)
        return self._take_arrival(calling[0])

    async def take(self, command: CallCommand) -> Answer | None:
        """Execute a command of the consultant; None when it is not one of a conversation.

        Raises CommandRefused.
        """
        if not self._commands.supports(command):
            return None
        if self.consultant is None or command.consultant != self.consultant.name:
            raise CommandRefused("another consultant has the call")
        return await self._commands.put(command)

    # Bridge

    async def hold(self, **detail: str) -> None:
        """Put the caller on hold. Raises LegHungUp."""
        if not self.is_on_hold:
            with self._set_hold(True):
                await self._bridge.leave(self.call.leg)
                await self._music.enter_async_context(self.call.leg.music())
            self.call.record.add_event(CallEvent.HELD, **detail)

    async def unhold(self, **detail: str) -> None:
        """Take the caller off hold. Raises LegHungUp."""
        if self.is_on_hold:
            with self._set_hold(False):
                await self._music.aclose()
                await self._bridge.enter(self.call.leg)
            self.call.record.add_event(CallEvent.RESUMED, **detail)

    async def give_back(self, **detail: str) -> None:
        """Take the caller off hold, unless the telephone holds: nobody would be heard there.

        Raises LegHungUp.
        """
        if not self.is_held_by_telephone:
            await self.unhold(**detail)

    @contextmanager
    def _set_hold(self, is_on_hold: bool) -> Iterator[None]:
        """Change the hold state, undone when the block fails; `schedule_repair` makes it so."""
        self.is_on_hold = is_on_hold
        try:
            yield
        except OperationFailed:
            self.is_on_hold = not is_on_hold
            raise

    def schedule_repair(self) -> None:
        """Retry until the caller's channel is in the state that we reported."""
        if self._repair is None or self._repair.done():
            self._is_repaired = False
            asking = self._retry_command("as_told", lambda: not self._is_repaired)
            self._repair = asyncio.create_task(asking)

    async def reconcile_bridge(self) -> None:
        """Put the caller on or off hold as we reported. Raises LegHungUp."""
        await self._music.aclose()
        if self.is_on_hold:
            await self._bridge.leave(self.call.leg)
            await self._music.enter_async_context(self.call.leg.music())
        else:
            await self._bridge.ensure(self.call.leg)
        self._is_repaired = True

    async def mute(self, muted: bool, **detail: str) -> None:
        """Mute or unmute the consultant."""
        if self.consultant is not None:
            with suppress(LegHungUp):  # its end is an event of its own
                await self.consultant.leg.mute(muted)
        self.is_muted = muted
        self.call.record.add_event(CallEvent.MUTED if muted else CallEvent.UNMUTED, **detail)

    async def report_transfer(self, report: TransferReport) -> None:
        """Tell the consultant's telephone of the transfer that it requested."""
        if self.consultant is not None:
            await self.consultant.leg.report_transfer(report)

    async def play_to_consultant(self, prompt: str) -> None:
        """Play a prompt to the consultant alone."""
        if self.consultant is not None:
            sound = self.call.sounds.sound(self.call.consultant_language, prompt)
            await self.consultant.leg.play_privately([sound])

    # Third parties

    @property
    def awaits_third_party(self) -> bool:
        """Whether a third party is being called."""
        return self._calling is not None

    @property
    def awaits_consultant(self) -> bool:
        """Whether that third party is a consultant."""
        return self.awaits_third_party and self._is_consultant

    def call_third_party(
        self, calling: Coroutine[Any, Any, ThirdParty], *, is_consultant: bool, hands_over: bool
    ) -> None:
        """Start calling a third party; `next` returns the result."""
        self._is_consultant, self.is_blind_transfer = is_consultant, hands_over
        self._calling = asyncio.ensure_future(calling)

    def ring_consultant_again(self) -> None:
        """Ring the consultant, whose telephone lost its leg; `next` returns the result."""
        if self.consultant is not None:
            consultant, self.consultant = self.consultant, None
            self._commands.stop_listening()
            calling = ring_again(self.call, consultant)
            self.call_third_party(calling, is_consultant=True, hands_over=True)

    def _take_arrival(self, calling: asyncio.Task[ThirdParty]) -> PartyAnswered | PartyUnanswered:
        self._calling = None
        try:
            self.third_party = calling.result()
            return PartyAnswered(self.third_party)
        except NotAnswered as exc:
            return PartyUnanswered(str(exc))
        except OperationFailed:  # as when Redis is down: the conversation needs no Redis
            return PartyUnanswered("failed")

    async def admit(self, third_party: ThirdParty) -> bool:
        """Add the third party to the bridge; False when the third party hung up."""
        with suppress(LegHungUp):
            await self._bridge.enter(third_party.leg)
            return True
        return False

    async def dismiss_third_party(self) -> None:
        """Hang up the third party, or cancel the call to one."""
        if self._calling is not None:
            calling, self._calling = self._calling, None
            await run_to_completion(_cancel_call(calling))
        if self.third_party is not None:
            third_party, self.third_party = self.third_party, None
            await third_party.stack.aclose()

    # Owner of the call

    async def request_takeover(self, taker: ConsultantParty) -> None:
        """Transfer the call to a supervisor whose leg is up. Raises CommandRefused."""
        self.takeover_party = taker
        await self._commands.put(CallCommand("take_over", "supervisor"))

    async def release_consultant(self) -> None:
        """Hang up the consultant, who goes to wrap-up."""
        self.is_held_by_telephone = False
        if self.consultant is not None:
            consultant, self.consultant = self.consultant, None
            self._commands.stop_listening()
            await consultant.stack.aclose()

    async def transfer_to(self, party: ConsultantParty) -> None:
        """Make an admitted party the consultant, with a recording of their own."""
        previous, self.consultant = self.consultant, party
        if self.third_party is party:
            self.third_party = None
        self.is_muted = self.is_held_by_telephone = False
        self.last_consultant, self.supervisor_knows_at = party.name, 0.0
        self._commands.listen_to(party.leg)
        self.call.record.assign_consultant(party.person.id)
        before, self.recording = self.recording, RecordingSession(self.call)
        try:
            # In this order: nothing of the next consultant is in the recording of the first.
            await run_to_completion(before.stop())
            await self._start_recording(party)
            await self.unhold()
        finally:
            if previous is not None:
                await previous.leg.report_transfer(TransferReport.DONE)
                await previous.stack.aclose()

    async def _start_recording(self, consultant: ConsultantParty) -> None:
        if not await self.recording.start(consultant.person):
            await asyncio.gather(  # neither waits for the other
                self.play_to_consultant("not_recorded"),
                self.call.alert_not_recorded(),
            )
            if self._recording_retry is not None:
                self._recording_retry.cancel()
            asking = self._retry_command("record", lambda: self.recording.is_unconfirmed)
            self._recording_retry = asyncio.create_task(asking)

    async def _retry_command(self, name: str, is_needed: Callable[[], bool]) -> None:
        """Queue a command at an interval until it succeeds or is not needed."""
        while is_needed():
            await asyncio.sleep(RETRY_INTERVAL)
            with suppress(CommandRefused):  # it failed, or too many are pending
                await self._commands.put(CallCommand(name, "line"))

    async def retry_recording(self) -> None:
        """Retry the unconfirmed recording; tells consultant and supervisors of success."""
        if await self.recording.retry_start():
            await self.play_to_consultant("recorded_again")
            await self.call.queue.alert_recording_restored(
                self.call.leg.id, self.call.consultant_language
            )

    @asynccontextmanager
    async def join(self, leg: Leg) -> AsyncIterator[None]:
        """Add a leg to the bridge within the block; that of a consultant by then stays.

        Raises LegHungUp.
        """
        await self._bridge.enter(leg)
        try:
            yield
        finally:
            if self.consultant is None or self.consultant.leg is not leg:
                await asyncio.shield(self._bridge.leave(leg))

    # Beginning and end

    async def start(self) -> None:
        """Connect caller and consultant. Raises LegHungUp, and NotAnswered of the consultant."""
        consultant = self.consultant
        if consultant is None:
            raise NotAnswered("left")
        try:
            await self._bridge.enter(self.call.leg, consultant.leg)
        except LegHungUp:  # who of the two?
            await self._bridge.enter(self.call.leg)
            if not await self.admit(consultant):
                raise NotAnswered("left") from None
        self._record_start(consultant)
        self.call.if_left = Outcome.TALKED
        self._commands.listen_to(consultant.leg)
        await self._start_recording(consultant)

    def _record_start(self, consultant: ConsultantParty) -> None:
        self.call.record.assign_consultant(consultant.person.id)
        self.call.record.add_event(CallEvent.CONNECTED, consultant=consultant.name)

    async def resume(self, ongoing: OngoingConversation) -> None:
        """Restore the state of an ongoing conversation, unheard. Raises LegHungUp."""
        self.third_party, self.is_muted = ongoing.third_party, ongoing.is_muted
        self.call.if_left = Outcome.TALKED
        if ongoing.is_on_hold:
            self.is_on_hold = True
            await self._music.enter_async_context(self.call.leg.music())
        if ongoing.recording is not None:
            self.recording = RecordingSession(self.call, ongoing.recording)
        if self.consultant is None:
            return
        if ongoing.is_unrecorded:
            self._record_start(self.consultant)
        self._commands.listen_to(self.consultant.leg)
        if not ongoing.is_recording_confirmed:
            await run_to_completion(self.recording.stop())
            self.recording = RecordingSession(self.call)
            await self._start_recording(self.consultant)

    async def end(self) -> None:
        """Stop recording and music, and refuse pending commands."""
        self._commands.stop_listening()
        for task in (self._recording_retry, self._repair):
            if task is not None:
                task.cancel()
        while (command := self._commands.next()) is not None:
            command.refuse(OVER)
        await self.recording.stop()
        await self._music.aclose()

    async def hang_up_all(self) -> None:
        """Hang up all parties but the caller."""
        await self.dismiss_third_party()
        await self.release_consultant()

    def _third_party_state(self) -> str:
        if self.third_party is not None:
            return "here"
        return "called" if self.awaits_third_party else "none"

    def state(self) -> Answer:
        """Return the state, as the answer to a command."""
        return {
            "caller": "aside" if self.is_on_hold else "here",
            "muted": "yes" if self.is_muted else "no",
            "guest": self._third_party_state(),
            "telephone": "holds" if self.is_held_by_telephone else "talks",
            "urgent": self.call.urgencies[-1].value if self.call.urgencies else "",
            "keys": " ".join(self.call.keys_seen),
            "heard": self.caller_audio.heard.value,
        }


@asynccontextmanager
async def conversation(
    call: Call, party: ConsultantParty | OngoingConversation, can: Collection[str]
) -> AsyncIterator[Conversation]:
    """Connect the caller with an answered consultant and record, or resume an ongoing one.

    At the end all parties but the caller are hung up. Raises NotAnswered when the consultant hung
    up before the two were connected, LegHungUp when the caller did.
    """
    ongoing, consultant = (
        (party, party.consultant) if isinstance(party, OngoingConversation) else (None, party)
    )
    entered = call.switch.bridge(call.leg) if ongoing is None else ongoing.bridge
    async with AsyncExitStack() as parties, entered as bridge:
        talk = Conversation(call, bridge, consultant, can)
        parties.push_async_callback(talk.hang_up_all)
        try:
            await (talk.start() if ongoing is None else talk.resume(ongoing))
            with call.commands.handled_by(talk.take):
                yield talk
        finally:
            await run_to_completion(talk.end())


async def _cancel_call(calling: asyncio.Task[ThirdParty]) -> None:
    calling.cancel()
    await asyncio.wait((calling,))
    if not calling.cancelled() and calling.exception() is None:  # it just answered
        await calling.result().stack.aclose()


def _no_supervisor() -> ConsultantParty | None:
    return None


def _end_none() -> None:
    pass


async def _wait_gone(leg: Leg) -> None:
    with suppress(LegLost):  # the caller's leg reports that too
        await leg.wait_hangup()
