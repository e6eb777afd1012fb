"""One channel of Asterisk, as a leg of a call (`callcenter.line.ports.Leg`)."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import cycle

from callcenter.asterisk.ari import Ari, Event, Gone, Refused
from callcenter.line.ports import LegGone, LegLost, NotAnswered

log = logging.getLogger(__name__)

RINGING = "tone:ring"  # of indications.conf
GOODBYE = 0.5  # seconds in which a channel whose sound failed is told to have hung up
KEYS_KEPT = 32  # keys typed ahead; a flood beyond that is not somebody choosing
WHY_NOT_ANSWERED = {
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
CUT_OFF = frozenset({27, 38, 41, 102})
DEVICE = 1  #: Asterisk's own word for a hang-up by RTP timeout (AST_SOFTHANGUP_DEV)
SOUNDS = 8  #: of one channel at once, at most


class Channel:
    """Events come in by `handle` from ARI's reader; operations go out. One task uses it at a time.

    Every operation raises LegGone once the channel has hung up, LegLost once it vanished with
    Asterisk, and Unreachable when Asterisk does not answer.
    """

    def __init__(self, ari: Ari, channel_id: str, name: str = "", number: str = "") -> None:
        """`name` is Asterisk's name of the channel, `number` the raw number of the party."""
        self.id = channel_id
        self.name = name
        self.number = number
        self.dialled = ""  #: of an incoming channel: the extension in the dialplan
        self.is_in_application = False  #: the switch has given it to us
        self.is_up = False  #: of an incoming channel: the dialplan has answered it
        self.was_ended = False  #: we have asked the switch to end it
        self.began_at = 0.0  #: of an incoming channel: epoch seconds by the switch's clock
        self._ari = ari
        self._news = asyncio.Event()
        self._keys: deque[str] = deque(maxlen=KEYS_KEPT)
        self._watchers: list[Callable[[str], bool]] = []
        self._playing: str | None = None
        self._play_failed = False
        self._sounds = cycle(sounds_of(channel_id, ari.application))
        self._answered = False
        self._withdrawn = False
        self._hold_takers: list[Callable[[bool], None]] = []
        self._cause: int | None = None
        self._is_cut_off = False
        self._end: LegGone | None = None

    # What Asterisk tells

    def handle(self, event: Event) -> None:
        """Take in one event about this channel; never blocks."""
        match event["type"]:
            case "ChannelDtmfReceived":
                self._pressed(event["digit"])
            case "PlaybackFinished":
                playback = event["playback"]
                if playback["id"] == self._playing:
                    self._playing = None
                    self._play_failed = playback["state"] == "failed"
                if playback["state"] == "failed" and self._end is None:  # or it hangs up just now
                    log.info("channel %s: could not play %s", self.id, playback["media_uri"])
            case "StasisStart":
                self.name = event["channel"]["name"]
                self._answered = self.is_in_application = True
            case "ChannelHold" | "ChannelUnhold" as kind:
                self._holds(kind == "ChannelHold")
            case "ChannelHangupRequest":
                self._is_cut_off = self._is_cut_off or _is_cut_off(event)
            case "ChannelDestroyed":
                self._cause = event["cause"]
                self._finish(LegGone(f"channel {self.id} hung up"))
            case "StasisEnd":
                self._finish(LegGone(f"channel {self.id} hung up"))
        self._news.set()

    def _pressed(self, key: str) -> None:
        taken = any(take(key) for take in self._watchers)
        if not taken and len(self._keys) < KEYS_KEPT:
            self._keys.append(key)

    def _holds(self, is_held: bool) -> None:
        for take in self._hold_takers:
            take(is_held)

    def lost(self) -> None:
        """Asterisk knows nothing of this channel any more, and no goodbye was heard."""
        self._finish(LegLost(f"channel {self.id} vanished with the switch"))
        self._news.set()

    async def catch_up(self) -> None:
        """After events may have been missed: a playback that is no more has finished."""
        if self._playing is not None:
            try:
                await self._ari.request("GET", f"playbacks/{self._playing}")
            except Gone:
                self._playing = None
                self._news.set()

    def _finish(self, how: LegGone) -> None:
        if self._end is None:
            self._end = how

    # What may be asked of it

    @property
    def is_gone(self) -> bool:
        return self._end is not None

    @property
    def died(self) -> bool:
        """Whether it ended without a goodbye: no packet came any more, or the way was cut."""
        return self._end is not None and self._is_cut_off

    async def answer(self) -> None:
        """Answer the incoming call: 200 OK goes out, if the dialplan has not sent it."""
        if not self.is_up:
            await self._do("POST", "answer")

    async def answered(self) -> None:
        """Wait until the called party answers; raises NotAnswered with the reason."""
        while not self._answered:
            if self._end is not None:
                why = WHY_NOT_ANSWERED.get(self._cause or 0, f"cause_{self._cause}")
                raise NotAnswered("withdrawn" if self._withdrawn else why)
            await self._wait_for_news()

    async def withdraw(self) -> None:
        """Stop ringing the called party; nothing happens to one that has answered."""
        if not self._answered:
            self._withdrawn = True
            await self.hang_up()

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        """Play to the end, or until a key is pressed, which is then used up and returned.

        A key pressed before counts. Cancelling stops the sound.
        """
        if until_key and self._keys:
            return self._keys.popleft()
        playback = next(self._sounds)
        self._playing, self._play_failed = playback, False
        try:
            await self._do("POST", f"play/{playback}", media=",".join(sounds))
            while self._playing == playback and self._end is None:
                if until_key and self._keys:
                    return self._keys.popleft()
                await self._wait_for_news()
            if self._play_failed:
                await self._may_hang_up()
            if self._end is not None:
                raise self._end
            return None
        finally:
            if self._playing == playback:
                self._playing = None
                await asyncio.shield(self._quietly("DELETE", f"playbacks/{playback}"))

    async def _may_hang_up(self) -> None:
        """A sound fails when it is missing, or when its channel hangs up: that is told later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                while self._end is None:
                    await self._wait_for_news()

    async def speaks(self, language: str) -> None:
        """Have the dialplan's fallback know the language: kk or ru. A fault is logged.

        Nothing may play: the switch would answer only afterwards, and nobody else before.
        """
        variable = {"variable": "CALLER_LANGUAGE", "value": language}
        await self._quietly("POST", f"channels/{self.id}/variable", variable)

    async def key(self, timeout: float) -> str | None:
        """The next key, pressed already or within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not self._keys:
                    if self._end is not None:
                        raise self._end
                    await self._wait_for_news()
        except TimeoutError:
            return None
        return self._keys.popleft()

    @contextmanager
    def watched(self, take: Callable[[str], bool]) -> Iterator[None]:
        """Within the block `take` is given each key as it is pressed, before anybody else."""
        self._watchers.append(take)
        try:
            yield
        finally:
            self._watchers.remove(take)

    @contextmanager
    def holds(self, take: Callable[[bool], None]) -> Iterator[None]:
        """Within the block `take` is told when the telephone holds (re-INVITE) and resumes."""
        self._hold_takers.append(take)
        try:
            yield
        finally:
            self._hold_takers.remove(take)

    async def mute(self, muted: bool) -> None:
        """Whether what this party says is dropped. Raises LegGone."""
        await self._do("POST" if muted else "DELETE", "mute", direction="in")

    async def hint(self, sounds: Sequence[str]) -> None:
        """Play to this party alone, also in a bridge, and return at once; a fault is logged."""
        playback = next(self._sounds)
        try:
            await self._do("POST", f"play/{playback}", media=",".join(sounds))
        except (LegGone, Refused):
            return

    @asynccontextmanager
    async def music(self) -> AsyncIterator[None]:
        """Music on hold within the block."""
        await self._do("POST", "moh")
        try:
            yield
        finally:
            await asyncio.shield(self._quietly("DELETE", f"channels/{self.id}/moh"))

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """The tone of a telephone that rings somewhere, within the block."""
        playback = next(self._sounds)
        await self._do("POST", f"play/{playback}", media=RINGING)
        try:
            yield
        finally:
            await asyncio.shield(self._quietly("DELETE", f"playbacks/{playback}"))

    async def gone(self) -> None:
        """Return when the channel has hung up; raises LegLost when it vanished."""
        while self._end is None:
            await self._wait_for_news()
        if isinstance(self._end, LegLost):
            raise self._end

    async def hang_up(self) -> None:
        """End the channel; no error when it has gone or Asterisk does not answer."""
        self.was_ended = True
        if self._end is None:
            await self._quietly("DELETE", f"channels/{self.id}")

    async def leave_to_fallback(self) -> None:
        """Give the channel to the dialplan's own fallback. Raises LegGone."""
        await self._do("POST", "continue", context="fallback", extension="s", priority="1")

    async def _do(self, method: str, operation: str, **query: str) -> None:
        if self._end is not None:
            raise self._end
        try:
            await self._ari.request(method, f"channels/{self.id}/{operation}", query)
        except Gone:
            raise self._end or LegGone(f"channel {self.id} hung up") from None
        except Refused as exc:
            # Not in our application, or hanging up this moment (to `answer` that is a 500).
            if exc.status in (409, 412) or (exc.status == 500 and operation == "answer"):
                raise self._end or LegGone(f"channel {self.id} hung up") from None
            raise

    async def _quietly(
        self, method: str, path: str, query: Mapping[str, str] | None = None
    ) -> None:
        """Tidy up: what has gone already needs no tidying."""
        try:
            await self._ari.request(method, path, query, within=2.0)
        except (Gone, Refused):
            return
        except Exception as exc:
            log.warning("%s %s failed: %s", method, path, exc)

    async def _wait_for_news(self) -> None:
        self._news.clear()
        await self._news.wait()


def sounds_of(channel_id: str, life: str) -> list[str]:
    """The ids of all that a life of a controller may be playing to a channel.

    They can be known by others: a channel that is played to does nothing else before that ends,
    nor can it be moved (measured).
    """
    return [f"play-{channel_id}-{life}-{number}" for number in range(SOUNDS)]


async def hush(ari: Ari, channel_id: str, life: str) -> None:
    """Stop all that this life plays to the channel. Raises Unreachable."""
    for sound in sounds_of(channel_id, life):
        with suppress(Gone, Refused):
            await ari.request("DELETE", f"playbacks/{sound}")


def _is_cut_off(hangup: Event) -> bool:
    """Whether a hang-up was nobody's goodbye (seen: a BYE is not `soft`, ARI's own is 32)."""
    cause = hangup.get("cause")
    return cause == DEVICE if hangup.get("soft") else cause in CUT_OFF
