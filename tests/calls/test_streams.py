"""Telephones that begin their RTP stream anew, with numbers that look late: heard and recorded.

Debian's Asterisk drops such voice unless it is mended (docs/decisions/0028).
"""

import pytest

from callcenter.recordings.store import RecordingRow
from callcenter.sipphone.audio import Pcm, loudness
from callcenter.sipphone.call import SipCall
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.talking import LOUD, THIRD_PARTY_TONE, Talk, a_moment, hears_tone, talking

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST = 40000  #: the number from which the streams of a test begin
#: Lower by so much that the numbers need 40 s, or nearly eleven minutes, to catch up.
LITTLE, MUCH = FIRST - 2000, FIRST - 32000


def softest(sound: Pcm, hertz: float) -> float:
    """How loud a tone was where it was softest, but in the first and the last moment; in dBFS."""
    size = 1600
    return min(
        loudness(sound[at : at + size], hertz) for at in range(4000, len(sound) - 2 * size, size)
    )


async def recorded(call_center: CallCenter, number: str, which: int = 0) -> tuple[Pcm, Pcm]:
    """The two sides of a recording, which is as long as it went on."""
    appeal = await call_center.appeal(number)
    recording = (await call_center.recordings(appeal))[which]
    began, ended = (
        event.at for event in await call_center.events(appeal) if event.detail == about(recording)
    )
    left, right = call_center.recorded(recording)
    assert len(left) == len(right) > ((ended - began).total_seconds() - 0.5) * 8000
    return left, right


def about(recording: RecordingRow) -> dict[str, str]:
    """The detail of its moments."""
    return {"recording": str(recording.id)}


async def both_are_recorded_throughout(call_center: CallCenter, number: str) -> None:
    left, right = await recorded(call_center, number)
    assert softest(left, CALLER_TONE) > LOUD
    assert softest(right, CONSULTANT_TONE) > LOUD


async def both_hear(both: Talk) -> None:
    """For a second from now on."""
    await a_moment()
    await hears_tone(both.caller, CONSULTANT_TONE)
    await hears_tone(both.consultant, CALLER_TONE)


@pytest.mark.parametrize("number", [LITTLE, MUCH])
@pytest.mark.parametrize("as_before", [False, True], ids=["new-ssrc", "same-ssrc"])
async def test_streams_that_begin_anew_twice_are_heard_and_recorded_throughout(
    call_center: CallCenter, number: int, as_before: bool
) -> None:
    who = f"+77070{number:05}{int(as_before)}"
    async with talking(call_center, who) as both:
        for next_number in (FIRST, number, number - 1000):
            for each in (both.caller, both.consultant):
                each.begin_stream_anew(next_number, as_before=as_before)
            await both_hear(both)
        await both.consultant.hang_up()
        await both.caller.ended()
    await both_are_recorded_throughout(call_center, who)


async def test_different_codecs_hear_each_other_after_a_restarted_stream(
    call_center: CallCenter,
) -> None:
    who = "+77070031001"
    async with talking(call_center, who, codecs=["PCMU"]) as both:
        for number in (FIRST, LITTLE):
            for each in (both.caller, both.consultant):
                each.begin_stream_anew(number)
            await both_hear(both)
        await both.consultant.hang_up()
        await both.caller.ended()
    await both_are_recorded_throughout(call_center, who)


async def test_lower_numbers_after_music_on_hold_are_recorded(
    call_center: CallCenter,
) -> None:
    who = "+77070032001"
    async with talking(call_center, who) as both:
        both.consultant.begin_stream_anew(FIRST)
        await both.consultant.hold()
        await a_moment()
        await both.consultant.resume()
        both.consultant.begin_stream_anew(LITTLE)
        await both_hear(both)
        await both.consultant.hang_up()
        await both.caller.ended()
    left, right = await recorded(call_center, who)
    assert softest(left, CALLER_TONE) > LOUD
    assert softest(right[-8000:], CONSULTANT_TONE) > LOUD


async def test_the_next_consultant_is_recorded_though_the_numbers_are_lower(
    call_center: CallCenter,
) -> None:
    who = "+77070033001"
    async with talking(call_center, who) as both, call_center.consultant("204") as other:
        both.consultant.begin_stream_anew(FIRST)
        await both_hear(both)
        await both.consultant.press("*3204#")
        third_party: SipCall = await other.next_call()
        await third_party.answer()
        third_party.send_tone(THIRD_PARTY_TONE)
        third_party.begin_stream_anew(LITTLE)
        await hears_tone(both.caller, THIRD_PARTY_TONE)
        await a_moment()
        await third_party.hang_up()
        await both.caller.ended()
    left, right = await recorded(call_center, who, 1)
    assert softest(left, CALLER_TONE) > LOUD
    assert softest(right, THIRD_PARTY_TONE) > LOUD
