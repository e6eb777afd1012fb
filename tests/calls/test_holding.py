"""Hold and mute: what each side hears, how it is kept, and what becomes of telephones that die."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.sipphone.call import SipCall
from callcenter.telephony.acd.distributor import PLAIN_RULES
from callcenter.telephony.acd.rules.call_commands import CommandRefused
from callcenter.telephony.calls.conversation import caller_audio
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.talking import (
    QUIET,
    Talk,
    a_moment,
    hears_no_tone,
    hears_tone,
    longest_silence,
    loudest,
    order,
    talking,
)
from tests.calls.waiting import times
from tests.polling import require_within, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = 0.3  # seconds for which a caller may hear nothing at all


async def _hold_by_key(call_center: CallCenter, talk: Talk) -> None:
    await talk.consultant.press("*5")


async def _hold_by_order(call_center: CallCenter, talk: Talk) -> None:
    assert (await order(call_center, "201", "hold"))["caller"] == "aside"


async def _resume_by_order(call_center: CallCenter, talk: Talk) -> None:
    assert (await order(call_center, "201", "resume"))["caller"] == "here"


async def _hold_by_button(call_center: CallCenter, talk: Talk) -> None:
    await talk.consultant.hold()


async def _resume_by_button(call_center: CallCenter, talk: Talk) -> None:
    await talk.consultant.resume()


Way = Callable[[CallCenter, Talk], Awaitable[None]]


@pytest.mark.parametrize(
    ("hold", "resume", "how"),
    [
        (_hold_by_key, _hold_by_key, "key"),
        (_hold_by_order, _resume_by_order, "asked"),
        (_hold_by_button, _resume_by_button, "telephone"),
    ],
    ids=["key", "api", "button"],
)
async def test_a_caller_on_hold_hears_music_and_never_silence(
    call_center: CallCenter, hold: Way, resume: Way, how: str
) -> None:
    number = f"+7702000010{len(how)}"
    async with talking(call_center, number) as talk:
        began = time.monotonic()
        await hold(call_center, talk)
        await hears_no_tone(talk.caller, CONSULTANT_TONE)
        held = time.monotonic()
        await a_moment()
        assert loudest(talk.caller, CONSULTANT_TONE, held, time.monotonic()) < QUIET
        await hears_no_tone(talk.consultant, CALLER_TONE)
        await resume(call_center, talk)
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        require_within(longest_silence(talk.caller, began), SILENCE, "silence")
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    events = {event.kind: event for event in await call_center.events(appeal)}
    assert events[CallEvent.HELD].detail == events[CallEvent.RESUMED].detail == {"how": how}
    [recording] = await call_center.recordings(appeal)
    left, right = call_center.recorded(recording)
    talked = events[CallEvent.RECORDING_STOPPED].at - events[CallEvent.RECORDING_STARTED].at
    assert len(left) == len(right) > (talked.total_seconds() - 0.5) * 8000


async def test_a_muted_consultant_hears_the_caller_and_is_not_heard(
    call_center: CallCenter,
) -> None:
    async with talking(call_center, "+77020000201") as talk:
        for mute, unmute in (("*6", "*6"), ("mute", "unmute")):
            await _keyed_or_requested(call_center, talk, mute)
            await hears_no_tone(talk.caller, CONSULTANT_TONE)
            await hears_tone(talk.consultant, CALLER_TONE)
            await _keyed_or_requested(call_center, talk, unmute)
            await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.caller.hang_up()
        await talk.consultant.ended()
    moments = await call_center.moments(await call_center.appeal("+77020000201"))
    assert moments.count(CallEvent.MUTED) == moments.count(CallEvent.UNMUTED) == 2


async def _keyed_or_requested(call_center: CallCenter, talk: Talk, what: str) -> None:
    if what.startswith("*"):
        await talk.consultant.press(what)
    else:
        await order(call_center, "201", what)


async def test_a_caller_may_leave_while_on_hold(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020000202") as talk:
        await order(call_center, "201", "hold")
        await talk.caller.hang_up()
        await talk.consultant.ended()
        with pytest.raises(CommandRefused):
            await order(call_center, "201", "resume")
    assert (await call_center.appeal("+77020000202")).outcome == Outcome.TALKED


async def test_leaving_a_caller_on_hold_does_not_end_the_call(
    call_center: CallCenter,
) -> None:
    async with talking(call_center, "+77020000203") as talk, call_center.consultant("204") as other:
        await order(call_center, "201", "hold")
        await talk.consultant.hang_up()
        await call_center.hears(talk.caller, "kk", "consultant_lost")
        await call_center.talk_shortly(await other.next_call())
        await talk.caller.ended()
    appeal = await call_center.appeal("+77020000203")
    assert appeal.consultant_extension == "204"
    assert len(await call_center.recordings(appeal)) == 2


async def test_a_dead_consultants_telephone_puts_the_caller_first(
    call_center: CallCenter,
) -> None:
    async with talking(call_center, "+77020000204") as talk, call_center.consultant("204") as other:
        talk.consultant.stop_sending()
        await call_center.hears(talk.caller, "kk", "consultant_lost", 20)
        await call_center.talk_shortly(await other.next_call())
        await talk.caller.ended()
    events = await call_center.events(await call_center.appeal("+77020000204"))
    assert CallEvent.CONSULTANT_LOST in [event.kind for event in events]
    again = [event for event in events if event.kind == CallEvent.WAITING][-1]
    assert again.detail == {"why": "lost_before"}


async def test_whose_consultants_telephone_died_goes_before_who_has_waited_longer(
    call_center: CallCenter,
) -> None:
    first, lost = "+77020000206", "+77020000207"
    presence = PresenceService(call_center.redis, PLAIN_RULES)
    with times(call_center, patience=60.0, ask_every=60.0):
        async with call_center.caller(first) as waiting:
            await waiting.press("21")  # nobody is there who speaks Russian
            await call_center.hears(waiting, "ru", "nobody_speaks_ru")
            async with talking(call_center, lost, "203") as talk:
                # Nobody is to ring the telephone that died.
                await presence.ask("203", PresenceState.PAUSED, by="user:test", reason="technical")
                talk.consultant.stop_sending()
                await call_center.hears(talk.caller, "kk", "consultant_lost", 20)
                await goes_first(call_center, talk.caller)
                await waiting.hang_up()
                await talk.caller.ended()
                await presence.ask("203", PresenceState.READY, by="user:test")
    assert (await call_center.appeal(lost)).consultant_extension == "204"
    left = (await call_center.appeal(first)).outcome
    assert left in (Outcome.LEFT_WAITING, Outcome.LEFT_RINGING), "204 is free again by then"


async def goes_first(call_center: CallCenter, caller: SipCall) -> None:
    """Of two who wait this one gets the consultant who comes and fits both."""

    async def both_wait() -> bool:
        return await call_center.redis.zcard("desk:waiting") == 2

    await until(both_wait, "both callers wait")
    async with call_center.softphone("204") as other:
        await other.register()
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(CONSULTANT_TONE)
        await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()


async def test_a_cut_off_caller_is_distinguished_from_a_hangup(
    call_center: CallCenter,
) -> None:
    for reason, is_lost in (("Q.850;cause=16", False), ("Q.850;cause=38", True)):
        number = f"+7702000030{int(is_lost)}"
        async with talking(call_center, number) as talk:
            await talk.caller.hang_up(reason)
            await talk.consultant.ended()
        appeal = await call_center.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        assert (CallEvent.CALLER_LOST in await call_center.moments(appeal)) is is_lost


async def test_keys_without_end_do_nothing_and_leave_nothing(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020000205") as talk:
        for _ in range(3):
            await asyncio.gather(
                talk.consultant.press("*5*5*6*6*#*2#*3#**4##*99*", gap=0),
                talk.caller.press("*5*6*14*14" * 2, gap=0),
            )

        async def settled() -> bool:
            return (await order(call_center, "201", "status"))["caller"] in ("here", "aside")

        await until(settled, "the call answers")
        await order(call_center, "201", "resume")
        await order(call_center, "201", "unmute")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()
    assert (await call_center.appeal("+77020000205")).outcome == Outcome.TALKED


async def test_a_caller_who_sends_nothing_is_reported_as_unheard(
    call_center: CallCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_audio, "COUNT_INTERVAL", 0.1)
    monkeypatch.setattr(caller_audio, "SILENT_AFTER", 0.5)

    async def is_heard(expected: str) -> bool:
        return (await order(call_center, "201", "status"))["heard"] == expected

    async with talking(call_center, "+77013000050") as talk:
        await until(lambda: is_heard("yes"), "the caller is heard")
        talk.caller.stop_sending()
        await until(lambda: is_heard("no"), "nothing is heard of the caller")
        talk.caller.send_tone(CALLER_TONE)
        await until(lambda: is_heard("yes"), "the caller is heard again")
