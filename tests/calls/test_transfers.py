"""Transfers and conferences: who hears whom, who is leased, what is recorded, who may leave."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.appeals.calls.store import AppealRow
from callcenter.consultants import store as consultants
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.audio import RATE, loudness
from callcenter.sipphone.call import SipCall
from callcenter.telephony.acd.distributor import PLAIN_RULES
from callcenter.telephony.acd.rules.call_commands import CommandRefused
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.calls.stall_meter import Stalls
from tests.calls.talking import (
    LOUD,
    QUIET,
    THIRD_PARTY_TONE,
    a_moment,
    hears_tone,
    longest_silence,
    loudest,
    order,
    talking,
)
from tests.polling import require_within, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = 0.3  # seconds for which a caller may hear nothing at all
OUTSIDE = "+77172701212"


async def answered(call: SipCall) -> SipCall:
    """Somebody who was called answers, and sends a tone."""
    await call.answer()
    call.send_tone(THIRD_PARTY_TONE)
    return call


async def is_state(call_center: CallCenter, extension: str, state: PresenceState) -> None:
    async def so() -> bool:
        reported = await call_center.redis.hget("desk:states", extension)
        return str(reported).startswith(state.value)

    await until(so, f"{extension} is {state.value}")


async def third_party_state(call_center: CallCenter, what: str, extension: str = "201") -> None:
    async def so() -> bool:
        return (await order(call_center, extension, "status"))["guest"] == what

    await until(so, f"the third party of {extension} is {what}")


async def recorded_by(call_center: CallCenter, appeal: AppealRow) -> list[str]:
    """The consultants of the recordings of an appeal, in their order."""
    query = (
        "SELECT c.extension FROM recording r JOIN consultant c ON c.id = r.consultant_id "
        "WHERE r.appeal_id = %s ORDER BY r.started_at"
    )
    async with call_center.engine.connect() as connection:
        return list((await connection.exec_driver_sql(query, (appeal.id,))).scalars())


async def is_recorded_to_the_end(
    call_center: CallCenter, appeal: AppealRow, consultant: float
) -> None:
    """The newest recording has the caller's tone and this one in its last second but one."""
    left, right = call_center.recorded((await call_center.recordings(appeal))[-1])
    stretch = slice(-2 * RATE, -RATE)
    assert loudness(left[stretch], CALLER_TONE) > LOUD
    assert loudness(right[stretch], consultant) > LOUD


async def test_a_consulted_callers_music_hides_the_private_talk(
    call_center: CallCenter,
) -> None:
    async with (
        talking(call_center, "+77020001001") as talk,
        call_center.consultant("204") as other,
        Stalls() as stalls,
    ):
        began = time.monotonic()
        await talk.consultant.press("*2204#")
        third_party = await answered(await other.next_call())
        await hears_tone(talk.consultant, THIRD_PARTY_TONE)
        await hears_tone(third_party, CONSULTANT_TONE)
        await is_state(call_center, "204", PresenceState.TALKING)
        private = time.monotonic()
        await a_moment()
        for tone in (CONSULTANT_TONE, THIRD_PARTY_TONE):
            assert loudest(talk.caller, tone, private, time.monotonic()) < QUIET
        assert loudest(third_party, CALLER_TONE, private, time.monotonic()) < QUIET
        await talk.consultant.press("*7")
        await talk.consultant.ended()
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(third_party, CALLER_TONE)
        require_within(longest_silence(talk.caller, began), SILENCE + stalls.longest, "silence")
        await is_state(call_center, "201", PresenceState.READY)
        with pytest.raises(CommandRefused):
            await order(call_center, "201", "hold")
        assert (await order(call_center, "204", "hold"))["caller"] == "aside"
        await order(call_center, "204", "resume")
        await third_party.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal("+77020001001")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert await recorded_by(call_center, appeal) == ["201", "204"]
    moments = await call_center.moments(appeal)
    assert moments.count(CallEvent.RECORDING_STOPPED) == 2
    assert CallEvent.RECORDING_FAILED not in moments


async def test_all_three_talk_and_the_third_party_leaves(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020001002") as talk, call_center.consultant("204") as other:
        await order(call_center, "201", "consult", to="204")
        third_party = await answered(await other.next_call())
        await third_party_state(call_center, "here")
        began = time.monotonic()
        await order(call_center, "201", "together")
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(third_party, CALLER_TONE)
        await hears_tone(third_party, CONSULTANT_TONE)
        await hears_tone(talk.consultant, THIRD_PARTY_TONE)
        await third_party.hang_up()
        await third_party_state(call_center, "none")
        await hears_tone(talk.consultant, CALLER_TONE)
        require_within(longest_silence(talk.caller, began), SILENCE, "silence")
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal("+77020001002")
    assert await recorded_by(call_center, appeal) == ["201"]


async def test_who_goes_back_to_the_caller_lets_the_other_go(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020001003") as talk, call_center.consultant("204") as other:
        for answers in (False, True):
            await order(call_center, "201", "consult", to="204")
            ringing = await other.next_call()
            if answers:
                await answered(ringing)
                await third_party_state(call_center, "here")
            await order(call_center, "201", "back")
            await ringing.ended()
            await hears_tone(talk.caller, CONSULTANT_TONE)
            await is_state(call_center, "204", PresenceState.READY)
        await talk.consultant.hang_up()
        await talk.caller.ended()


async def test_a_transfer_needs_nobody_to_wait_for_its_end(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020001004") as talk, call_center.consultant("204") as other:
        await talk.consultant.press("*3204#")
        ringing = await other.next_call()
        await talk.consultant.hang_up()
        third_party = await answered(ringing)
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(third_party, CALLER_TONE)
        for _ in range(3):
            await a_moment()
        await third_party.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal("+77020001004")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert await recorded_by(call_center, appeal) == ["201", "204"]
    await is_recorded_to_the_end(call_center, appeal, THIRD_PARTY_TONE)


@asynccontextmanager
async def skilled(call_center: CallCenter, extension: str, **skills: int) -> AsyncIterator[None]:
    """Within the block a consultant has these skills, and the distributor knows."""
    try:
        await give_skills(call_center, extension, skills)
        yield
    finally:
        await give_skills(call_center, extension, {})


async def give_skills(call_center: CallCenter, extension: str, skills: dict[str, int]) -> None:
    async with unit_of_work(call_center.engine) as connection:
        await consultants.set_skills(connection, extension, skills)
        crew = await consultants.active(connection)
    for controller in call_center.controllers:
        await controller.distributor.update_roster(crew)


async def test_a_skill_transfer_goes_to_a_free_skilled_consultant(
    call_center: CallCenter,
) -> None:
    async with (
        skilled(call_center, "204", lawyer=3),
        talking(call_center, "+77020001014") as talk,
        call_center.consultant("203") as unskilled,
        call_center.consultant("204") as lawyer,
    ):
        await order(call_center, "201", "transfer", to="skill:lawyer:4")
        await third_party_state(call_center, "none")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await order(call_center, "201", "transfer", to="skill:lawyer:3")
        third_party = await answered(await lawyer.next_call())
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await talk.consultant.ended()
        await third_party.hang_up()
        await talk.caller.ended()
        assert unskilled.calls == []
    appeal = await call_center.appeal("+77020001014")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    called = [
        e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.THIRD_PARTY_CALLED
    ]
    assert [each["skill"] for each in called] == ["lawyer:4", "lawyer:3"]


@pytest.mark.parametrize("requested", ["consult", "transfer"])
@pytest.mark.parametrize("how", ["absent", "refuses", "silent"])
async def test_when_the_other_fails_the_caller_comes_back(
    call_center: CallCenter, how: str, requested: str
) -> None:
    number = f"+7702000110{len(how)}" if requested == "transfer" else f"+7702000111{len(how)}"
    async with talking(call_center, number) as talk:
        if how == "absent":
            await order(call_center, "201", requested, to="204")
        else:
            async with call_center.consultant("204") as other:
                await order(call_center, "201", requested, to="204")
                ringing = await other.next_call()
                if how == "refuses":
                    await ringing.reject(603)
                else:
                    await ringing.ended()
        await third_party_state(call_center, "none")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        for _ in range(3):
            await a_moment()
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "201")
    assert await recorded_by(call_center, appeal) == ["201"]
    await is_recorded_to_the_end(call_center, appeal, CONSULTANT_TONE)


@pytest.mark.parametrize("how", ["busy", "leaves"])
async def test_when_somebody_outside_fails_the_caller_comes_back(
    call_center: CallCenter, how: str
) -> None:
    number = f"+7702000112{len(how)}"
    async with talking(call_center, number) as talk, call_center.network(OUTSIDE) as network:
        await order(call_center, "201", "call", to=OUTSIDE)
        ringing = await network.next_call()
        assert ringing.invite is not None
        assert f"<sip:{call_center.settings.shown_number}@" in ringing.invite.need("From")
        if how == "busy":
            await ringing.reject(486)
        else:
            third_party = await answered(ringing)
            await third_party_state(call_center, "here")
            await third_party.hang_up()
        await third_party_state(call_center, "none")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await hears_tone(talk.consultant, CALLER_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert await recorded_by(call_center, appeal) == ["201"]


async def test_a_returned_caller_goes_before_later_ones(
    call_center: CallCenter,
) -> None:
    async with (
        talking(call_center, "+77020001005") as talk,
        call_center.caller("+77020001006") as later,
        call_center.softphone("204") as other,
    ):
        await later.press("0")
        await call_center.hears(later, "kk", "connecting")
        # Who sends the caller back rests, or would get the one who waits.
        presence = PresenceService(call_center.redis, PLAIN_RULES)
        await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
        await order(call_center, "201", "queue", language="ru")
        await talk.consultant.ended()

        async def both_wait() -> bool:
            return await call_center.redis.zcard("desk:waiting") == 2

        await until(both_wait, "both callers wait")
        await other.register()
        leg = await answered(await other.next_call())
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await later.hang_up()
        await leg.hang_up()
        await talk.caller.ended()
        await presence.ask("201", PresenceState.READY, by="self")
    appeal = await call_center.appeal("+77020001005")
    assert (appeal.outcome, appeal.consultant_extension) == (Outcome.TALKED, "204")
    assert (await call_center.appeal("+77020001006")).outcome == Outcome.LEFT_WAITING


async def test_two_who_consult_each_other_are_both_refused(
    call_center: CallCenter,
) -> None:
    async with (
        talking(call_center, "+77020001007") as one,
        talking(call_center, "+77020001008", "204") as two,
    ):
        await asyncio.gather(
            order(call_center, "201", "transfer", to="204"),
            order(call_center, "204", "transfer", to="201"),
        )
        for talk, extension in ((one, "201"), (two, "204")):
            await third_party_state(call_center, "none", extension)
            await hears_tone(talk.caller, CONSULTANT_TONE)
        for talk in (one, two):
            await talk.consultant.hang_up()
            await talk.caller.ended()
    for number in ("+77020001007", "+77020001008"):
        events = await call_center.events(await call_center.appeal(number))
        failed = [event.detail for event in events if event.kind == CallEvent.THIRD_PARTY_FAILED]
        assert failed == [{"why": "not_free"}]


async def test_somebody_outside_helps_and_the_recording_goes_on(call_center: CallCenter) -> None:
    async with (
        talking(call_center, "+77020001009") as talk,
        call_center.network(OUTSIDE) as network,
    ):
        await order(call_center, "201", "call", to=OUTSIDE)
        third_party = await answered(await network.next_call())
        await third_party_state(call_center, "here")
        await talk.consultant.press("*8")
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(third_party, CALLER_TONE)
        assert len(call_center.switch.open_recordings()) == 1
        await talk.consultant.press("*9")
        await third_party.ended()
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()
    moments = await call_center.moments(await call_center.appeal("+77020001009"))
    assert (
        moments.count(CallEvent.RECORDING_STARTED)
        == moments.count(CallEvent.RECORDING_STOPPED)
        == 1
    )


async def test_an_emergency_service_is_brought_to_the_conversation(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020001013") as talk, call_center.network("102") as network:
        await talk.consultant.press("*4102#")
        await answered(await network.next_call())
        await third_party_state(call_center, "here")
        await talk.consultant.press("*8")
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await talk.consultant.hang_up()
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await talk.caller.hang_up()
    assert (await call_center.appeal("+77020001013")).outcome == Outcome.TALKED


async def test_a_caller_left_with_an_external_party_is_unrecorded(
    call_center: CallCenter,
) -> None:
    async with (
        talking(call_center, "+77020001010") as talk,
        call_center.network(OUTSIDE) as network,
    ):
        await order(call_center, "201", "call", to=OUTSIDE)
        third_party = await answered(await network.next_call())
        await third_party_state(call_center, "here")
        await order(call_center, "201", "hand_over")
        await talk.consultant.ended()
        await hears_tone(talk.caller, THIRD_PARTY_TONE)
        await hears_tone(third_party, CALLER_TONE)
        assert call_center.switch.open_recordings() == []
        await third_party.hang_up()
        await talk.caller.ended()
    moments = await call_center.moments(await call_center.appeal("+77020001010"))
    assert moments.index(CallEvent.RECORDING_STOPPED) < moments.index(CallEvent.LEFT_OUTSIDE)


async def test_numbers_that_the_line_does_not_call_are_refused(call_center: CallCenter) -> None:
    async with talking(call_center, "+77020001011") as talk:
        for number in ("+12125550100", "111", "900", "x", ""):
            with pytest.raises(CommandRefused):
                await order(call_center, "201", "call", to=number)
        with pytest.raises(CommandRefused):
            await order(call_center, "201", "transfer", to="204 205")
        await hears_tone(talk.caller, CONSULTANT_TONE)
        await talk.consultant.hang_up()
        await talk.caller.ended()


async def test_a_caller_hanging_up_at_any_stage_leaves_nobody(
    call_center: CallCenter,
) -> None:
    for stage in ("ringing", "private", "together", "handed over"):
        async with (
            talking(call_center, "+77020001012") as talk,
            call_center.consultant("204") as other,
        ):
            await order(call_center, "201", "consult", to="204")
            leg = await other.next_call()
            if stage != "ringing":
                await answered(leg)
                await third_party_state(call_center, "here")
            if stage in ("together", "handed over"):
                await order(call_center, "201", "together")
            if stage == "handed over":
                await order(call_center, "201", "hand_over")
            await talk.caller.hang_up()
            await leg.ended()
            await talk.consultant.ended()
            await is_state(call_center, "204", PresenceState.READY)
        assert (await call_center.appeal("+77020001012")).outcome == Outcome.TALKED
