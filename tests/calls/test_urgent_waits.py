"""What becomes of an urgent caller for whom nobody is free, on the real Asterisk."""

import json

import pytest

from callcenter.consultants.states import State
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.house import House, until
from tests.calls.waiting import SEVERAL, hears_again, rings, times

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAST = 40.0  # seconds for two rounds of patience and what is said in them


async def alarmed(house: House, kind: str) -> bool:
    told = [json.loads(each) for each in await house.redis.lrange("desk:alarms", 0, -1)]
    return kind in [each["kind"] for each in told]


async def test_an_urgent_caller_stays_where_others_go_to_1414_and_supervisors_are_alarmed(
    house: House,
) -> None:
    await house.redis.delete("desk:alarms")
    urgent, other = "+77010005001", "+77010005002"
    with times(house, patience=5.0, urgent_alarm=1.0):
        async with (
            house.paused_consultant("201") as duty,
            house.unified_center() as center,
            house.caller(urgent) as silent,
            house.caller(other) as caller,
        ):
            await silent.press("5")
            await house.hears(silent, "kk", "silent_words")
            await caller.press("11")
            leg = await center.next_call(SEVERAL)
            await house.hears(caller, "kk", "nobody_free")
            await house.talk_shortly(leg)
            await caller.ended()
            assert await alarmed(house, "urgent_waits")
            await duty.ask("201", State.READY, by="user:test")
            await until(lambda: rings(house, urgent), "a consultant is rung for the urgent one")
    assert (await house.appeal(other)).outcome == Outcome.REDIRECTED
    stayed = await house.appeal(urgent)
    assert stayed.outcome == Outcome.LEFT_RINGING
    assert Moment.REDIRECT_NOTICE not in await house.moments(stayed)


async def test_any_key_keeps_an_urgent_caller_and_silence_in_the_last_round_leads_to_1414(
    house: House,
) -> None:
    number = "+77010005003"
    with times(house, patience=8.0, urgent_rounds=2, announce_every=1.0):
        async with (
            house.paused_consultant("201"),
            house.unified_center() as center,
            house.caller(number) as caller,
        ):
            await caller.press("8")
            await house.hears(caller, "kk", "urgent_stay", LAST)
            pressed = caller.heard.last_packet_at
            await caller.press("7")
            await hears_again(house, caller, "kk", "urgent_stay", pressed, LAST)
            assert center.calls == []
            leg = await center.next_call(LAST)
            await house.hears(caller, "kk", "nobody_free")
            await house.talk_shortly(leg)
            await caller.ended()
    appeal = await house.appeal(number)
    assert (appeal.outcome, list(appeal.urgent)) == (Outcome.REDIRECTED, ["danger"])


async def test_who_cannot_press_a_key_gets_a_consultant_of_the_other_language(
    house: House,
) -> None:
    number = "+77010005004"
    with times(house, patience=60.0):
        async with house.consultant("202") as consultant, house.caller(number) as caller:
            await caller.press("18")
            await house.hears(caller, "kk", "nobody_speaks_kk", SEVERAL)
            await house.hears(caller, "kk", "urgent_other_language", SEVERAL)
            leg = await consultant.next_call(SEVERAL)
            assert leg.invite is not None
            assert "111 ru DANGER" in leg.invite.need("From")
            await house.talk_shortly(leg)
            await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert [e.detail for e in await house.events(appeal) if e.kind == Moment.OTHER_LANGUAGE] == [
        {"language": "ru"}
    ]
