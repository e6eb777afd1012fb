"""Whether a caller is heard, from what the switch has counted."""

from itertools import repeat
from math import ceil

from callcenter.telephony.calls.conversation.caller_audio import (
    COUNT_INTERVAL,
    SILENT_AFTER,
    CallerAudio,
    CallerAudioState,
)
from callcenter.telephony.calls.ports import LegHungUp
from tests.flow.legs import FakeLeg
from tests.flow.turns import Turns


class CountedLeg(FakeLeg):
    """A leg of which so many packets came by each count; None: it cannot be counted."""

    def __init__(self, *counts: int | None) -> None:
        super().__init__(Turns(), "caller")
        self.counts = list(counts)

    async def packets_received(self) -> int:
        count = self.counts.pop(0)
        if count is None:
            raise LegHungUp("it is over")
        return count


async def heard(*counts: int | None, interval: float = COUNT_INTERVAL) -> list[CallerAudioState]:
    """What is known after each of so many looks, one an interval."""
    now, leg = [0.0], CountedLeg(*counts)
    audio, results = CallerAudio(leg, lambda: now[0]), []
    for _ in counts:
        await audio.update()
        results.append(audio.heard)
        now[0] += interval
    return results


async def test_a_caller_is_heard_while_packets_come() -> None:
    assert await heard(0, 150, 300) == [
        CallerAudioState.UNKNOWN,
        CallerAudioState.YES,
        CallerAudioState.YES,
    ]


async def test_nothing_is_heard_after_seconds_without_a_packet() -> None:
    looks = ceil(SILENT_AFTER / COUNT_INTERVAL)
    assert await heard(0, 150, *repeat(150, looks), 151) == [
        CallerAudioState.UNKNOWN,
        *repeat(CallerAudioState.YES, looks),
        CallerAudioState.NO,
        CallerAudioState.YES,
    ]


async def test_a_caller_who_never_sent_anything_is_not_called_heard() -> None:
    assert await heard(0, 0, interval=SILENT_AFTER) == [
        CallerAudioState.UNKNOWN,
        CallerAudioState.NO,
    ]


async def test_what_cannot_be_counted_is_unknown() -> None:
    assert await heard(0, 150, None, 300, 450) == [
        CallerAudioState.UNKNOWN,
        CallerAudioState.YES,
        CallerAudioState.UNKNOWN,
        CallerAudioState.UNKNOWN,
        CallerAudioState.YES,
    ]


async def test_asterisk_is_queried_once_an_interval() -> None:
    leg = CountedLeg(0, 150)
    audio = CallerAudio(leg, lambda: 0.0)
    for _ in range(10):
        await audio.update()
    assert leg.counts == [150]
