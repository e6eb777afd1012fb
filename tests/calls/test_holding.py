"""Hold and mute: what each side hears, how it is kept, and what becomes of telephones that die."""

import time
from collections.abc import Awaitable, Callable

import pytest

from callcenter.consultants.desk import PLAIN_RULES
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import OrderRefused
from callcenter.consultants.states import State
from callcenter.demo.call import Call
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House, until
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

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = 0.3  # seconds for which a caller may hear nothing at all


async def _hold_by_key(house: House, talk: Talk) -> None:
    await talk.consultant.press("*5")


async def _hold_by_order(house: House, talk: Talk) -> None:
    assert (await order(house, "201", "hold"))["caller"] == "aside"


async def _resume_by_order(house: House, talk: Talk) -> None:
    assert (await order(house, "201", "resume"))["caller"] == "here"


async def _hold_by_button(house: House, talk: Talk) -> None:
    await talk.consultant.hold()


async def _resume_by_button(house: House, talk: Talk) -> None:
    await talk.consultant.resume()


Way = Callable[[House, Talk], Awaitable[None]]


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
    house: House, hold: Way, resume: Way, how: str
) -> None:
    number = f"+7702000010{len(how)}"
    async with talking(house, number) as talk:
        began = time.monotonic()
        await hold(house, talk)
        await hears_no_tone(talk.caller, CONSULTANT_TONE)
        held = time.monotonic()
        await a_moment()
        assert loudest(talk.caller, CONSULTANT_TONE, held, time.monotonic()) < QUIET
        await hears_no_tone(talk.consultant, CALLER_TONE)
        await resume(house, talk)
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        assert longest_silence(talk.caller, began) < SILENCE
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    events = {event.kind: event for event in await house.events(appeal)}
    assert events[Moment.HELD].detail == events[Moment.RESUMED].detail == {"how": how}
    [recording] = await house.recordings(appeal)
    left, right = house.recorded(recording)
    talked = events[Moment.RECORDING_STOPPED].at - events[Moment.RECORDING_STARTED].at
    assert len(left) == len(right) > (talked.total_seconds() - 0.5) * 8000


async def test_a_muted_consultant_hears_the_caller_and_is_not_heard(house: House) -> None:
    async with talking(house, "+77020000201") as talk:
        for mute, unmute in (("*6", "*6"), ("mute", "unmute")):
            await _keyed_or_asked(house, talk, mute)
            await hears_no_tone(talk.caller, CONSULTANT_TONE)
            await hears_tone(talk.consultant, CALLER_TONE)
            await _keyed_or_asked(house, talk, unmute)
            await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.caller.hang_up()
        await talk.consultant.ended()
    moments = await house.moments(await house.appeal("+77020000201"))
    assert moments.count(Moment.MUTED) == moments.count(Moment.UNMUTED) == 2


async def _keyed_or_asked(house: House, talk: Talk, what: str) -> None:
    if what.startswith("*"):
        await talk.consultant.press(what)
    else:
        await order(house, "201", what)


async def test_a_caller_may_leave_while_on_hold(house: House) -> None:
    async with talking(house, "+77020000202") as talk:
        await order(house, "201", "hold")
        await talk.caller.hang_up()
        await talk.consultant.ended()
        with pytest.raises(OrderRefused):
            await order(house, "201", "resume")
    assert (await house.appeal("+77020000202")).outcome == Outcome.TALKED


async def test_whoever_leaves_a_caller_on_hold_does_not_end_the_call(house: House) -> None:
    async with talking(house, "+77020000203") as talk, house.consultant("204") as other:
        await order(house, "201", "hold")
        await talk.consultant.hang_up()
        await house.hears(talk.caller, "kk", "consultant_lost")
        await house.talk_shortly(await other.next_call())
        await talk.caller.ended()
    appeal = await house.appeal("+77020000203")
    assert appeal.consultant_extension == "204"
    assert len(await house.recordings(appeal)) == 2


async def test_when_the_consultants_telephone_dies_the_caller_is_told_and_served_next(
    house: House,
) -> None:
    async with talking(house, "+77020000204") as talk, house.consultant("204") as other:
        talk.consultant.stop_sending()
        await house.hears(talk.caller, "kk", "consultant_lost", 20)
        await house.talk_shortly(await other.next_call())
        await talk.caller.ended()
    events = await house.events(await house.appeal("+77020000204"))
    assert Moment.CONSULTANT_LOST in [event.kind for event in events]
    again = [event for event in events if event.kind == Moment.WAITING][-1]
    assert again.detail == {"why": "lost_before"}


async def test_whose_consultants_telephone_died_goes_before_who_has_waited_longer(
    house: House,
) -> None:
    first, lost = "+77020000206", "+77020000207"
    duty = DutyDesk(house.redis, PLAIN_RULES)
    with times(house, patience=60.0, ask_every=60.0):
        async with house.caller(first) as waiting:
            await waiting.press("21")  # nobody is there who speaks Russian
            await house.hears(waiting, "ru", "nobody_speaks_ru")
            async with talking(house, lost, "203") as talk:
                # Nobody is to ring the telephone that died.
                await duty.ask("203", State.PAUSED, by="user:test", reason="technical")
                talk.consultant.stop_sending()
                await house.hears(talk.caller, "kk", "consultant_lost", 20)
                await goes_first(house, talk.caller)
                await waiting.hang_up()
                await talk.caller.ended()
                await duty.ask("203", State.READY, by="user:test")
    assert (await house.appeal(lost)).consultant_extension == "204"
    left = (await house.appeal(first)).outcome
    assert left in (Outcome.LEFT_WAITING, Outcome.LEFT_RINGING), "204 is free again by then"


async def goes_first(house: House, caller: Call) -> None:
    """Of two who wait this one gets the consultant who comes and fits both."""

    async def both_wait() -> bool:
        return await house.redis.zcard("desk:waiting") == 2

    await until(both_wait, "both callers wait")
    async with house.softphone("204") as other:
        await other.register()
        leg = await other.next_call()
        await leg.answer()
        leg.send_tone(CONSULTANT_TONE)
        await hears_tone(caller, CONSULTANT_TONE)
        await leg.hang_up()


async def test_a_caller_who_is_cut_off_is_told_from_one_who_hangs_up(house: House) -> None:
    for reason, is_lost in (("Q.850;cause=16", False), ("Q.850;cause=38", True)):
        number = f"+7702000030{int(is_lost)}"
        async with talking(house, number) as talk:
            await talk.caller.hang_up(reason)
            await talk.consultant.ended()
        appeal = await house.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        assert (Moment.CALLER_LOST in await house.moments(appeal)) is is_lost


async def test_keys_without_end_do_nothing_and_leave_nothing(house: House) -> None:
    async with talking(house, "+77020000205") as talk:
        for _ in range(5):
            await talk.consultant.press("*5*5*6*6*#*2#*3#**4##*99*", gap=0)
            await talk.caller.press("*5*6*14*14", gap=0)

        async def settled() -> bool:
            return (await order(house, "201", "status"))["caller"] in ("here", "aside")

        await until(settled, "the call answers")
        await order(house, "201", "resume")
        await order(house, "201", "unmute")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()
    assert (await house.appeal("+77020000205")).outcome == Outcome.TALKED
