"""One channel of Asterisk, as a leg of a call (`callcenter.telephony.calls.ports.Leg`)."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from callcenter.telephony.asterisk.ari import Ari, AriRequestFailed, ChannelNotFound, Event
from callcenter.telephony.calls.ports import (
    LegHungUp,
    LegLost,
    NotAnswered,
    TransferReport,
    TransferRequest,
)

log = logging.getLogger(__name__)

RINGING = "tone:ring"  # of indications.conf
HANGUP_EVENT_TIMEOUT = 0.5  # seconds for the hang-up of a channel whose sound failed
KEY_BUFFER_LIMIT = 32  # keys typed ahead; a flood beyond that is no choice
NOT_ANSWERED_REASONS = {
    3: "unreachable",
    16: "left",  # it had answered, and hung up before we knew
    17: "busy",
    18: "no_answer",
    19: "no_answer",
    20: "unreachable",
    21: "refused",
    27: "unreachable",
    34: "congestion",
}
#: Causes (Q.850) that the network gives for a party that it has lost.
CONNECTION_LOST_CAUSES = frozenset({27, 38, 41, 102})
#: Cause of a channel whose telephone answered 481 to a request in the call: it knows of none.
UNKNOWN_CALL_CAUSE = 127
UNREACHABLE = "Unreachable"  #: Asterisk's word for a contact that does not answer OPTIONS
RTP_TIMEOUT_CAUSE = 1  #: Asterisk's own word for a hang-up by RTP timeout (AST_SOFTHANGUP_DEV)
FALLBACK_URGENT = "100"  #: the QUEUE_PRIO of urgent callers in the dialplan
PLAYBACK_LIMIT = 8  #: playbacks of one channel at once
#: ARI's words for a transfer; the telephone gets them as NOTIFY with 100, 200 or 603.
TRANSFER_STATES = {
    TransferReport.STARTED: "channel_progress",
    TransferReport.DONE: "channel_answered",
    TransferReport.REFUSED: "channel_declined",
}
#: Seconds before the first word on a transfer: Asterisk publishes the request a moment before it
#: is ready for one, and would crash (22.10, `ari_state` in res_pjsip_refer.c).
TRANSFER_DELAY = 0.05
#: Seconds for the last word to be sent: of a telephone that is hung up before, it says 503.
REPORT_DELAY = 0.2


@dataclass(frozen=True, slots=True)
class Registration:
    """A telephone's registration: `contact` is another one for each address."""

    contact: str
    expires: str  #: changes whenever the telephone registers again


class Channel:
    """A channel: events come in by `handle`, operations go out. One task uses it at a time.

    Every operation raises LegHungUp once the channel has hung up, LegLost once it vanished with
    Asterisk, and AriUnavailable when Asterisk does not answer.
    """

    def __init__(self, ari: Ari, channel_id: str, name: str = "", number: str = "") -> None:
        """`name` is Asterisk's name of the channel, `number` the raw number of the party."""
        self.id = channel_id
        self.name = name
        self.number = number
        self.dialled = ""  #: of an incoming channel: the extension in the dialplan
        self.is_in_application = False  #: Asterisk has given it to us
        self.is_up = False  #: of an incoming channel: the dialplan has answered it
        self.was_ended = False  #: we have asked Asterisk to end it
        self.is_held = False  #: the telephone holds it
        self.is_probed = False  #: the telephone was asked whether it knows of this call
        self.began_at = 0.0  #: of an incoming channel: epoch seconds by Asterisk's clock
        self._ari = ari
        self._changed = asyncio.Event()
        self._keys: deque[str] = deque(maxlen=KEY_BUFFER_LIMIT)
        self._dtmf_interceptors: list[Callable[[str], bool]] = []
        self._playing: str | None = None
        self._play_failed = False
        self._playback_ids = cycle(playback_ids(channel_id, ari.application))
        self._answered = False
        self._withdrawn = False
        self._hold_listeners: list[Callable[[bool], None]] = []
        self._transfer_listeners: list[Callable[[TransferRequest], None]] = []
        self._awaits_transfer = False  # the telephone requested one, and has no final answer
        self._cause: int | None = None
        self._is_cut_off = False
        self._end: LegHungUp | None = None

    # Events

    def handle(self, event: Event) -> None:
        """Take in one event about this channel; never blocks."""
        match event["type"]:
            case "ChannelDtmfReceived":
                self._take_key(event["digit"])
            case "PlaybackFinished":
                self._finish_playback(event["playback"])
            case "StasisStart":
                self.name = event["channel"]["name"]
                self._answered = self.is_in_application = True
            case "ChannelHold" | "ChannelUnhold" as kind:
                self._set_held(kind == "ChannelHold")
            case "ChannelTransfer" if "state" not in event:  # with one it repeats what we reported
                self._take_transfer(event["refer_to"])
            case "ChannelHangupRequest":
                is_unknown = self.is_probed and event.get("cause") == UNKNOWN_CALL_CAUSE
                self._is_cut_off = self._is_cut_off or is_unknown or _is_cut_off(event)
            case "ChannelDestroyed":
                self._cause = event["cause"]
                self._finish(LegHungUp(f"channel {self.id} hung up"))
            case "StasisEnd":
                self._finish(LegHungUp(f"channel {self.id} hung up"))
        self._changed.set()

    def _finish_playback(self, playback: Event) -> None:
        if playback["id"] == self._playing:
            self._playing = None
            self._play_failed = playback["state"] == "failed"
        if playback["state"] == "failed" and self._end is None:  # or it hangs up just now
            log.info("playback failed: channel %s: %s", self.id, playback["media_uri"])

    def _take_key(self, key: str) -> None:
        is_intercepted = any(take(key) for take in self._dtmf_interceptors)
        if not is_intercepted and len(self._keys) < KEY_BUFFER_LIMIT:
            self._keys.append(key)

    def _set_held(self, is_held: bool) -> None:
        self.is_held = is_held
        for take in self._hold_listeners:
            take(is_held)

    def _take_transfer(self, refer_to: Event) -> None:
        requested = refer_to["requested_destination"]
        replaced = refer_to.get("destination_channel", {}).get("name", "")
        self._awaits_transfer = True
        request = TransferRequest(
            requested["destination"], replaced if "protocol_id" in requested else None
        )
        for take in self._transfer_listeners:
            take(request)

    @property
    def has_unheard_transfer(self) -> bool:
        """Whether the telephone requested a transfer, and nobody listens for one."""
        return self._awaits_transfer and not self._transfer_listeners

    def mark_lost(self) -> None:
        """Mark as vanished: Asterisk has it no more, and no hang-up was reported."""
        self._finish(LegLost(f"channel {self.id} vanished with the switch"))
        self._changed.set()

    async def catch_up(self, snapshot: Mapping[str, Any]) -> None:
        """Catch up after missed events; `snapshot` is ARI's description of the channel now.

        A party in our application has answered, a playback that Asterisk has no more has finished.
        """
        runs = snapshot["dialplan"]
        if runs["app_name"] == "Stasis" and runs["app_data"].startswith(self._ari.application):
            self.handle({"type": "StasisStart", "channel": snapshot})
        if self._playing is not None:
            try:
                await self._ari.request("GET", f"playbacks/{self._playing}")
            except ChannelNotFound:
                self._playing = None
                self._changed.set()

    def _finish(self, reason: LegHungUp) -> None:
        if self._end is None:
            self._end = reason

    # Operations

    @property
    def is_gone(self) -> bool:
        return self._end is not None

    @property
    def is_lost(self) -> bool:
        """Whether it vanished with Asterisk."""
        return isinstance(self._end, LegLost)

    @property
    def connection_lost(self) -> bool:
        """Whether it ended without a hang-up: packets ceased, or the connection was cut."""
        return self._end is not None and self._is_cut_off

    async def answer(self) -> None:
        """Answer the incoming call: 200 OK goes out, if the dialplan has not sent it."""
        if not self.is_up:
            await self._do("POST", "answer")

    async def wait_answered(self) -> None:
        """Wait until the called party answers; raises NotAnswered with the reason."""
        while not self._answered:
            if self._end is not None:
                reason = NOT_ANSWERED_REASONS.get(self._cause or 0, f"cause_{self._cause}")
                raise NotAnswered("withdrawn" if self._withdrawn else reason)
            await self._wait_for_change()

    async def withdraw(self) -> None:
        """Stop ringing the called party; one that has answered is left as it is."""
        if not self._answered:
            self._withdrawn = True
            await self.hang_up()

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        """Play to the end, or until a key is pressed, which is then used up and returned.

        A key pressed before counts. Cancelling stops the sound.
        """
        if until_key and self._keys:
            return self._keys.popleft()
        playback = next(self._playback_ids)
        self._playing, self._play_failed = playback, False
        try:
            await self._do("POST", f"play/{playback}", media=",".join(sounds))
            while self._playing == playback and self._end is None:
                if until_key and self._keys:
                    return self._keys.popleft()
                await self._wait_for_change()
            if self._play_failed:
                await self._wait_possible_hangup()
            if self._end is not None:
                raise self._end
            return None
        finally:
            if self._playing == playback:
                self._playing = None
                await asyncio.shield(self._quietly("DELETE", f"playbacks/{playback}"))

    async def _wait_possible_hangup(self) -> None:
        """Wait a moment: a sound also fails when its channel hangs up, which is reported later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HANGUP_EVENT_TIMEOUT):
                while self._end is None:
                    await self._wait_for_change()

    async def set_language(self, language: str) -> None:
        """Set the language of the dialplan's fallback: kk or ru. A fault is logged.

        Nothing may play: Asterisk would answer only afterwards, and nobody else before.
        """
        variable = {"variable": "CALLER_LANGUAGE", "value": language}
        await self._quietly("POST", f"channels/{self.id}/variable", variable)

    async def key(self, timeout: float) -> str | None:
        """Return the next key, pressed already or within `timeout` seconds; else None."""
        try:
            async with asyncio.timeout(timeout):
                while not self._keys:
                    if self._end is not None:
                        raise self._end
                    await self._wait_for_change()
        except TimeoutError:
            return None
        return self._keys.popleft()

    @contextmanager
    def intercept_dtmf(self, take: Callable[[str], bool]) -> Iterator[None]:
        """Give `take` each key as it is pressed, within the block, before anybody else."""
        self._dtmf_interceptors.append(take)
        try:
            yield
        finally:
            self._dtmf_interceptors.remove(take)

    @contextmanager
    def on_hold_change(self, take: Callable[[bool], None]) -> Iterator[None]:
        """Call `take` when the telephone holds (re-INVITE) and resumes, within the block."""
        self._hold_listeners.append(take)
        try:
            yield
        finally:
            self._hold_listeners.remove(take)

    @contextmanager
    def on_transfer(self, take: Callable[[TransferRequest], None]) -> Iterator[None]:
        """Call `take` for each transfer that the telephone requests (REFER), within the block."""
        self._transfer_listeners.append(take)
        try:
            yield
        finally:
            self._transfer_listeners.remove(take)

    async def report_transfer(self, report: TransferReport) -> None:
        """Tell the telephone of its transfer; nothing when it waits for no answer."""
        if self._awaits_transfer and self._end is None:
            self._awaits_transfer = report is TransferReport.STARTED
            await asyncio.sleep(TRANSFER_DELAY)
            path = f"channels/{self.id}/transfer_progress"
            await self._quietly("POST", path, {"states": TRANSFER_STATES[report]})
            if report is TransferReport.DONE:
                await asyncio.sleep(REPORT_DELAY)

    async def mute(self, muted: bool) -> None:
        """Drop what this party says, or cease to. Raises LegHungUp."""
        await self._do("POST" if muted else "DELETE", "mute", direction="in")

    async def packets_received(self) -> int:
        """Count the RTP packets received since the channel began.

        Raises LegHungUp, and AriRequestFailed for a channel without RTP.
        """
        return int((await self._do("GET", "rtp_statistics"))["rxcount"])

    async def play_privately(self, sounds: Sequence[str]) -> None:
        """Play to this party alone, also in a bridge, and return at once; a fault is logged."""
        playback = next(self._playback_ids)
        try:
            await self._do("POST", f"play/{playback}", media=",".join(sounds))
        except (LegHungUp, AriRequestFailed):
            return

    @asynccontextmanager
    async def music(self) -> AsyncIterator[None]:
        """Play music on hold within the block."""
        await self._do("POST", "moh")
        try:
            yield
        finally:
            await asyncio.shield(self._quietly("DELETE", f"channels/{self.id}/moh"))

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """Play ringback tone within the block."""
        playback = next(self._playback_ids)
        await self._do("POST", f"play/{playback}", media=RINGING)
        try:
            yield
        finally:
            await asyncio.shield(self._quietly("DELETE", f"playbacks/{playback}"))

    async def wait_hangup(self) -> None:
        """Return when the channel has hung up; raises LegLost when it vanished."""
        while self._end is None:
            await self._wait_for_change()
        if isinstance(self._end, LegLost):
            raise self._end

    async def hang_up(self) -> None:
        """End the channel; no error when it has gone or Asterisk does not answer."""
        self.was_ended = True
        if self._end is None:
            await self._quietly("DELETE", f"channels/{self.id}")

    async def cut_off(self) -> None:
        """End the channel of a party whose telephone or network failed (`connection_lost`)."""
        self._is_cut_off = True
        await self.hang_up()

    async def registration(self, extension: str) -> Registration | None:
        """Return how a telephone is registered now. Raises LegHungUp, AriRequestFailed."""
        contact = await self._read(f"PJSIP_AOR({extension},contact)")
        if not contact:
            return None
        expires = await self._read(f"PJSIP_CONTACT({contact},expiration_time)")
        return Registration(contact, expires)

    async def is_reachable(self, registration: Registration) -> bool:
        """Whether a telephone answers OPTIONS. Raises LegHungUp, AriRequestFailed."""
        return await self._read(f"PJSIP_CONTACT({registration.contact},status)") != UNREACHABLE

    async def _read(self, function: str) -> str:
        """Read a function of the dialplan."""
        return str((await self._do("GET", "variable", variable=function))["value"])

    async def read_header(self, name: str) -> str:
        """Read a header of the INVITE of an incoming channel; empty when it has none."""
        try:
            return await self._read(f"PJSIP_HEADER(read,{name})")
        except AriRequestFailed:
            return ""

    async def continue_in_fallback(
        self, *, waits_since: float | None = None, urgent: bool = False
    ) -> None:
        """Give the channel to the dialplan's own fallback. Raises LegHungUp.

        Who waits already, since `waits_since` (epoch seconds), keeps the place there, and who is
        `urgent` goes first.
        """
        if waits_since is not None:
            await self._tell_fallback("ARRIVED", str(int(waits_since)))
        if urgent:
            await self._tell_fallback("QUEUE_PRIO", FALLBACK_URGENT)
        await self._do("POST", "continue", context="fallback", extension="s", priority="1")

    async def _tell_fallback(self, variable: str, value: str) -> None:
        with suppress(AriRequestFailed):  # the caller matters more than the place
            await self._do("POST", "variable", variable=variable, value=value)

    async def _do(self, method: str, operation: str, **query: str) -> Any:
        if self._end is not None:
            raise self._end
        try:
            return await self._ari.request(method, f"channels/{self.id}/{operation}", query)
        except ChannelNotFound:
            raise self._end or LegHungUp(f"channel {self.id} hung up") from None
        except AriRequestFailed as exc:
            # Not in our application, or hanging up this moment (to `answer` that is a 500).
            if exc.status in (409, 412) or (exc.status == 500 and operation == "answer"):
                raise self._end or LegHungUp(f"channel {self.id} hung up") from None
            raise

    async def _quietly(
        self, method: str, path: str, query: Mapping[str, str] | None = None
    ) -> None:
        """Send a request that cleans up: no error when its object has gone; faults are logged."""
        try:
            await self._ari.request(method, path, query, within=2.0)
        except (ChannelNotFound, AriRequestFailed):
            return
        except Exception as exc:
            log.warning("ARI cleanup failed: %s %s: %s", method, path, exc)

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def playback_ids(channel_id: str, instance: str) -> list[str]:
    """The ids of all playbacks that an instance may have on a channel.

    Other instances can derive them: a channel that is played to does nothing else before that
    ends, nor can it be moved (measured).
    """
    return [f"play-{channel_id}-{instance}-{number}" for number in range(PLAYBACK_LIMIT)]


async def stop_playbacks(ari: Ari, channel_id: str, instance: str) -> None:
    """Stop all playbacks of this instance on the channel. Raises AriUnavailable."""
    for playback in playback_ids(channel_id, instance):
        with suppress(ChannelNotFound, AriRequestFailed):
            await ari.request("DELETE", f"playbacks/{playback}")


def _is_cut_off(hangup: Event) -> bool:
    """Whether no party hung up (seen: a BYE is not `soft`, ARI's own is 32)."""
    cause = hangup.get("cause")
    return cause == RTP_TIMEOUT_CAUSE if hangup.get("soft") else cause in CONNECTION_LOST_CAUSES
