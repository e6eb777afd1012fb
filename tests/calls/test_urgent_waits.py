"""What becomes of an urgent caller for whom nobody is free, on the real Asterisk."""

import json

import pytest

from callcenter.consultants.rules.states import PresenceState
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.waiting import SEVERAL, hears_again, rings, times
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAST = 40.0  # seconds for two rounds of patience and what is said in them


async def alerted(call_center: CallCenter, kind: str) -> bool:
    reported = [json.loads(each) for each in await call_center.redis.lrange("desk:alarms", 0, -1)]
    return kind in [each["kind"] for each in reported]


async def test_an_urgent_caller_stays_where_others_go_to_1414(
    call_center: CallCenter,
) -> None:
    await call_center.redis.delete("desk:alarms")
    urgent, other = "+77010005001", "+77010005002"
    with times(call_center, patience=5.0, urgent_alarm=1.0):
        async with (
            call_center.paused_consultant("201") as presence,
            call_center.unified_center() as center,
            call_center.caller(urgent) as silent,
            call_center.caller(other) as caller,
        ):
            await silent.press("5")
            await call_center.hears(silent, "kk", "silent_words")
            await caller.press("11")
            leg = await center.next_call(SEVERAL)
            await call_center.hears(caller, "kk", "nobody_free")
            await call_center.talk_shortly(leg)
            await caller.ended()
            assert await alerted(call_center, "urgent_waits")
            await presence.ask("201", PresenceState.READY, by="user:test")
            await until(
                lambda: rings(call_center, urgent), "a consultant is rung for the urgent one"
            )
    assert (await call_center.appeal(other)).outcome == Outcome.REDIRECTED
    stayed = await call_center.appeal(urgent)
    assert stayed.outcome == Outcome.LEFT_RINGING
    moments = await call_center.moments(stayed)
    assert CallEvent.REDIRECT_NOTICE not in moments
    assert CallEvent.ALERTED in moments


async def test_any_key_keeps_an_urgent_caller_silence_leads_to_1414(
    call_center: CallCenter,
) -> None:
    number = "+77010005003"
    with times(call_center, patience=8.0, urgent_rounds=2, announce_every=1.0):
        async with (
            call_center.paused_consultant("201"),
            call_center.unified_center() as center,
            call_center.caller(number) as caller,
        ):
            await caller.press("8")
            await call_center.hears(caller, "kk", "urgent_stay", LAST)
            pressed = caller.heard.last_packet_at
            await caller.press("7")
            await hears_again(call_center, caller, "kk", "urgent_stay", pressed, LAST)
            assert center.calls == []
            leg = await center.next_call(LAST)
            await call_center.hears(caller, "kk", "nobody_free")
            await call_center.talk_shortly(leg)
            await caller.ended()
    appeal = await call_center.appeal(number)
    assert (appeal.outcome, list(appeal.urgent)) == (Outcome.REDIRECTED, ["danger"])


async def test_a_caller_without_keys_gets_the_other_languages_consultant(
    call_center: CallCenter,
) -> None:
    number = "+77010005004"
    with times(call_center, patience=60.0):
        async with (
            call_center.consultant("202") as consultant,
            call_center.caller(number) as caller,
        ):
            await caller.press("18")
            await call_center.hears(caller, "kk", "nobody_speaks_kk", SEVERAL)
            await call_center.hears(caller, "kk", "urgent_other_language", SEVERAL)
            leg = await consultant.next_call(SEVERAL)
            assert leg.invite is not None
            assert "111 ru DANGER" in leg.invite.need("From")
            await call_center.talk_shortly(leg)
            await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.TALKED
    assert [
        e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.OTHER_LANGUAGE
    ] == [{"language": "ru"}]
