"""Transfers and conferences: who hears whom, who is leased, what is recorded, who may leave."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.appeals.store import AppealRow
from callcenter.consultants import store as consultants
from callcenter.consultants.desk import PLAIN_RULES
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.orders import OrderRefused
from callcenter.consultants.states import State
from callcenter.demo.call import Call
from callcenter.demo.sound import RATE, loudness
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House, until
from tests.calls.stalls import Stalls
from tests.calls.talking import (
    GUEST_TONE,
    LOUD,
    QUIET,
    a_moment,
    hears_tone,
    longest_silence,
    loudest,
    order,
    talking,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = 0.3  # seconds for which a caller may hear nothing at all
OUTSIDE = "+77172701212"


async def answered(call: Call) -> Call:
    """Somebody who was called answers, and sends a tone."""
    await call.answer()
    call.send_tone(GUEST_TONE)
    return call


async def is_state(house: House, extension: str, state: State) -> None:
    async def so() -> bool:
        told = await house.redis.hget("desk:states", extension)
        return str(told).startswith(state.value)

    await until(so, f"{extension} is {state.value}")


async def guest_state(house: House, what: str, extension: str = "201") -> None:
    async def so() -> bool:
        return (await order(house, extension, "status"))["guest"] == what

    await until(so, f"the guest of {extension} is {what}")


async def recorded_by(house: House, appeal: AppealRow) -> list[str]:
    """The consultants of the recordings of an appeal, in their order."""
    query = (
        "SELECT c.extension FROM recording r JOIN consultant c ON c.id = r.consultant_id "
        "WHERE r.appeal_id = %s ORDER BY r.started_at"
    )
    async with house.engine.connect() as connection:
        return list((await connection.exec_driver_sql(query, (appeal.id,))).scalars())


async def is_recorded_to_the_end(house: House, appeal: AppealRow, consultant: float) -> None:
    """The newest recording has the caller's tone and this one in its last second but one."""
    left, right = house.recorded((await house.recordings(appeal))[-1])
    stretch = slice(-2 * RATE, -RATE)
    assert loudness(left[stretch], CALLER_TONE) > LOUD
    assert loudness(right[stretch], consultant) > LOUD


async def test_a_caller_hears_music_and_nothing_of_the_private_talk_and_is_handed_over(
    house: House,
) -> None:
    async with (
        talking(house, "+77020001001") as talk,
        house.consultant("204") as other,
        Stalls() as stalls,
    ):
        began = time.monotonic()
        await talk.consultant.press("*2204#")
        guest = await answered(await other.next_call())
        await hears_tone(talk.consultant, GUEST_TONE)
        await hears_tone(guest, CONSULTANT_TONE)
        await is_state(house, "204", State.TALKING)
        private = time.monotonic()
        await a_moment()
        for tone in (CONSULTANT_TONE, GUEST_TONE):
            assert loudest(talk.caller, tone, private, time.monotonic()) < QUIET
        assert loudest(guest, CALLER_TONE, private, time.monotonic()) < QUIET
        await talk.consultant.press("*7")
        await talk.consultant.ended()
        await hears_tone(talk.caller, GUEST_TONE)
        await hears_tone(guest, CALLER_TONE)
        assert longest_silence(talk.caller, began) < SILENCE + stalls.longest
        await is_state(house, "201", State.READY)
        with pytest.raises(OrderRefused):
            await order(house, "201", "hold")
        assert (await order(house, "204", "hold"))["caller"] == "aside"
        await order(house, "204", "resume")
        await guest.hang_up()
        await talk.caller.ended()
    appeal = await house.appeal("+77020001001")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert await recorded_by(house, appeal) == ["201", "204"]
    moments = await house.moments(appeal)
    assert moments.count(Moment.RECORDING_STOPPED) == 2
    assert Moment.RECORDING_FAILED not in moments


async def test_all_three_talk_and_the_guest_leaves(house: House) -> None:
    async with talking(house, "+77020001002") as talk, house.consultant("204") as other:
        await order(house, "201", "consult", to="204")
        guest = await answered(await other.next_call())
        await guest_state(house, "here")
        began = time.monotonic()
        await order(house, "201", "together")
        await hears_tone(talk.caller, GUEST_TONE)
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(guest, CALLER_TONE)
        await hears_tone(guest, CONSULTANT_TONE)
        await hears_tone(talk.consultant, GUEST_TONE)
        await guest.hang_up()
        await guest_state(house, "none")
        await hears_tone(talk.consultant, CALLER_TONE)
        assert longest_silence(talk.caller, began) < SILENCE
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await house.appeal("+77020001002")
    assert await recorded_by(house, appeal) == ["201"]


async def test_whoever_goes_back_to_the_caller_lets_the_other_go(house: House) -> None:
    async with talking(house, "+77020001003") as talk, house.consultant("204") as other:
        for answers in (False, True):
            await order(house, "201", "consult", to="204")
            ringing = await other.next_call()
            if answers:
                await answered(ringing)
                await guest_state(house, "here")
            await order(house, "201", "back")
            await ringing.ended()
            await hears_tone(talk.caller, CONSULTANT_TONE)
            await is_state(house, "204", State.READY)
        await talk.consultant.hang_up()
        await talk.caller.ended()


async def test_a_transfer_needs_nobody_to_wait_for_its_end(house: House) -> None:
    async with talking(house, "+77020001004") as talk, house.consultant("204") as other:
        await talk.consultant.press("*3204#")
        ringing = await other.next_call()
        await talk.consultant.hang_up()
        guest = await answered(ringing)
        await hears_tone(talk.caller, GUEST_TONE)
        await hears_tone(guest, CALLER_TONE)
        for _ in range(3):
            await a_moment()
        await guest.hang_up()
        await talk.caller.ended()
    appeal = await house.appeal("+77020001004")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert await recorded_by(house, appeal) == ["201", "204"]
    await is_recorded_to_the_end(house, appeal, GUEST_TONE)


@asynccontextmanager
async def skilled(house: House, extension: str, **skills: int) -> AsyncIterator[None]:
    """Within the block a consultant has these skills, and the desk knows."""
    try:
        await give_skills(house, extension, skills)
        yield
    finally:
        await give_skills(house, extension, {})


async def give_skills(house: House, extension: str, skills: dict[str, int]) -> None:
    async with unit_of_work(house.engine) as connection:
        await consultants.set_skills(connection, extension, skills)
        crew = await consultants.active(connection)
    for controller in house.controllers:
        await controller.desk.tell_roster(crew)


async def test_the_caller_goes_to_whoever_is_free_and_has_the_skill(house: House) -> None:
    async with (
        skilled(house, "204", lawyer=3),
        talking(house, "+77020001014") as talk,
        house.consultant("203") as unskilled,
        house.consultant("204") as lawyer,
    ):
        await order(house, "201", "transfer", to="skill:lawyer:4")
        await guest_state(house, "none")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await order(house, "201", "transfer", to="skill:lawyer:3")
        guest = await answered(await lawyer.next_call())
        await hears_tone(talk.caller, GUEST_TONE)
        await talk.consultant.ended()
        await guest.hang_up()
        await talk.caller.ended()
        assert unskilled.calls == []
    appeal = await house.appeal("+77020001014")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    called = [e.detail for e in await house.events(appeal) if e.kind == Moment.GUEST_CALLED]
    assert [each["skill"] for each in called] == ["lawyer:4", "lawyer:3"]


@pytest.mark.parametrize("asked", ["consult", "transfer"])
@pytest.mark.parametrize("how", ["absent", "refuses", "silent"])
async def test_when_the_other_fails_the_caller_comes_back(
    house: House, how: str, asked: str
) -> None:
    number = f"+7702000110{len(how)}" if asked == "transfer" else f"+7702000111{len(how)}"
    async with talking(house, number) as talk:
        if how == "absent":
            await order(house, "201", asked, to="204")
        else:
            async with house.consultant("204") as other:
                await order(house, "201", asked, to="204")
                ringing = await other.next_call()
                if how == "refuses":
                    await ringing.reject(603)
                else:
                    await ringing.ended()
        await guest_state(house, "none")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        for _ in range(3):
            await a_moment()
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await house.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "201")
    assert await recorded_by(house, appeal) == ["201"]
    await is_recorded_to_the_end(house, appeal, CONSULTANT_TONE)


@pytest.mark.parametrize("how", ["busy", "leaves"])
async def test_when_somebody_outside_fails_the_caller_comes_back(house: House, how: str) -> None:
    number = f"+7702000112{len(how)}"
    async with talking(house, number) as talk, house.network(OUTSIDE) as network:
        await order(house, "201", "call", to=OUTSIDE)
        ringing = await network.next_call()
        assert ringing.invite is not None
        assert f"<sip:{house.settings.shown_number}@" in ringing.invite.need("From")
        if how == "busy":
            await ringing.reject(486)
        else:
            guest = await answered(ringing)
            await guest_state(house, "here")
            await guest.hang_up()
        await guest_state(house, "none")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert await recorded_by(house, appeal) == ["201"]


async def test_back_in_the_queue_the_caller_goes_before_who_came_later(house: House) -> None:
    async with (
        talking(house, "+77020001005") as talk,
        house.caller("+77020001006") as later,
        house.softphone("204") as other,
    ):
        await later.press("0")
        await house.hears(later, "kk", "connecting")
        # Who sends the caller back rests, or would get the one who waits.
        desk = DutyDesk(house.redis, PLAIN_RULES)
        await desk.ask("201", State.PAUSED, by="self", reason="lunch")
        await order(house, "201", "queue", language="ru")
        await talk.consultant.ended()

        async def both_wait() -> bool:
            return await house.redis.zcard("desk:waiting") == 2

        await until(both_wait, "both callers wait")
        await other.register()
        leg = await answered(await other.next_call())
        await hears_tone(talk.caller, GUEST_TONE)
        await later.hang_up()
        await leg.hang_up()
        await talk.caller.ended()
        await desk.ask("201", State.READY, by="self")
    appeal = await house.appeal("+77020001005")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert (await house.appeal("+77020001006")).outcome == Outcome.LEFT_WAITING


async def test_two_who_ask_for_each_other_are_both_told_that_the_other_is_not_free(
    house: House,
) -> None:
    async with talking(house, "+77020001007") as one, talking(house, "+77020001008", "204") as two:
        await asyncio.gather(
            order(house, "201", "transfer", to="204"), order(house, "204", "transfer", to="201")
        )
        for talk, extension in ((one, "201"), (two, "204")):
            await guest_state(house, "none", extension)
            await hears_tone(talk.caller, CONSULTANT_TONE)
        for talk in (one, two):
            await talk.consultant.hang_up()
            await talk.caller.ended()
    for number in ("+77020001007", "+77020001008"):
        events = await house.events(await house.appeal(number))
        failed = [event.detail for event in events if event.kind == Moment.GUEST_FAILED]
        assert failed == [{"why": "not_free"}]


async def test_somebody_outside_helps_and_the_recording_goes_on(house: House) -> None:
    async with talking(house, "+77020001009") as talk, house.network(OUTSIDE) as network:
        await order(house, "201", "call", to=OUTSIDE)
        guest = await answered(await network.next_call())
        await guest_state(house, "here")
        await talk.consultant.press("*8")
        await hears_tone(talk.caller, GUEST_TONE)
        await hears_tone(guest, CALLER_TONE)
        assert len(house.switch.open_recordings()) == 1
        await talk.consultant.press("*9")
        await guest.ended()
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()
    moments = await house.moments(await house.appeal("+77020001009"))
    assert moments.count(Moment.RECORDING_STARTED) == moments.count(Moment.RECORDING_STOPPED) == 1


async def test_an_emergency_service_is_brought_to_the_conversation(house: House) -> None:
    async with talking(house, "+77020001013") as talk, house.network("102") as network:
        await talk.consultant.press("*4102#")
        await answered(await network.next_call())
        await guest_state(house, "here")
        await talk.consultant.press("*8")
        await hears_tone(talk.caller, GUEST_TONE)
        await talk.consultant.hang_up()
        await hears_tone(talk.caller, GUEST_TONE)
        await talk.caller.hang_up()
    assert (await house.appeal("+77020001013")).outcome == Outcome.TALKED


async def test_a_caller_who_is_left_with_somebody_outside_is_not_recorded(house: House) -> None:
    async with talking(house, "+77020001010") as talk, house.network(OUTSIDE) as network:
        await order(house, "201", "call", to=OUTSIDE)
        guest = await answered(await network.next_call())
        await guest_state(house, "here")
        await order(house, "201", "hand_over")
        await talk.consultant.ended()
        await hears_tone(talk.caller, GUEST_TONE)
        await hears_tone(guest, CALLER_TONE)
        assert house.switch.open_recordings() == []
        await guest.hang_up()
        await talk.caller.ended()
    moments = await house.moments(await house.appeal("+77020001010"))
    assert moments.index(Moment.RECORDING_STOPPED) < moments.index(Moment.LEFT_OUTSIDE)


async def test_numbers_that_the_line_does_not_call_are_refused(house: House) -> None:
    async with talking(house, "+77020001011") as talk:
        for number in ("+12125550100", "111", "900", "x", ""):
            with pytest.raises(OrderRefused):
                await order(house, "201", "call", to=number)
        with pytest.raises(OrderRefused):
            await order(house, "201", "transfer", to="204 205")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()


async def test_nobody_is_left_when_the_caller_hangs_up_at_any_stage(house: House) -> None:
    for stage in ("ringing", "private", "together", "handed over"):
        async with talking(house, "+77020001012") as talk, house.consultant("204") as other:
            await order(house, "201", "consult", to="204")
            leg = await other.next_call()
            if stage != "ringing":
                await answered(leg)
                await guest_state(house, "here")
            if stage in ("together", "handed over"):
                await order(house, "201", "together")
            if stage == "handed over":
                await order(house, "201", "hand_over")
            await talk.caller.hang_up()
            await leg.ended()
            await talk.consultant.ended()
            await is_state(house, "204", State.READY)
        assert (await house.appeal("+77020001012")).outcome == Outcome.TALKED
