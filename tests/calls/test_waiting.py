"""What a caller who waits hears, is asked, and may do (R1, R2, R15), on the real Asterisk."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from callcenter.appeals.calls import store as appeals
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.appeals import opened
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import connected
from tests.calls.waiting import SEVERAL, hears_again, rings, times, waits
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_place_and_wait_are_announced_repeatedly_in_the_callers_language(
    call_center: CallCenter,
) -> None:
    await call_center.redis.set("desk:handling", 130)
    try:
        with times(call_center, announce_every=1.0, patience=60):
            # Whoever is on a pause serves nobody: a wait is foretold from those who work.
            async with (
                call_center.consultant("202") as busy,
                call_center.caller("+77030000013") as served,
            ):
                await served.press("21")
                leg = await busy.next_call(SEVERAL)
                await leg.answer()
                await call_center.hears_something(leg)
                await hears_place_and_wait(call_center)
            await call_center.appeal("+77030000013")
    finally:
        await call_center.redis.delete("desk:handling")
    assert (await call_center.appeal("+77030000002")).outcome == Outcome.LEFT_WAITING


async def hears_place_and_wait(call_center: CallCenter) -> None:
    """Two callers wait for the consultant who talks; the first leaves, and the second moves up."""
    async with (
        call_center.caller("+77030000001") as first,
        call_center.caller("+77030000002") as second,
    ):
        await first.press("21")
        await call_center.hears(first, "ru", "queue_hold")
        await call_center.hears(first, "ru", "queue_next")
        await second.press("21")
        await call_center.hears(second, "ru", "queue_position")
        for prompt in ("number_2", "queue_wait", "number_5"):
            await call_center.hears(second, "ru", prompt)
        await hears_again(call_center, second, "ru", "queue_position")
        await first.hang_up()
        await hears_again(call_center, second, "ru", "queue_next")
        assert not call_center.was_heard(second, "kk", "queue_position")


async def test_what_conversations_take_is_learned_from_them(call_center: CallCenter) -> None:
    await call_center.redis.delete("desk:handling")
    async with (
        call_center.consultant("201") as consultant,
        call_center.caller("+77030000003") as caller,
    ):
        await caller.press("0")
        await call_center.talk_shortly(await consultant.next_call())
        await caller.ended()

    async def learned() -> bool:
        return 0 < float(await call_center.redis.get("desk:handling") or 0) < 10

    await until(learned, "the distributor knows what the conversation took")
    await call_center.redis.delete("desk:handling")


async def test_who_waits_long_is_offered_1414_and_may_go(call_center: CallCenter) -> None:
    with times(call_center, ask_every=1.0, patience=60):
        async with (
            call_center.paused_consultant("201"),
            call_center.unified_center() as center,
            call_center.caller("+77030000004") as caller,
        ):
            await caller.press("11")
            await call_center.hears(caller, "kk", "offer_unified_center", SEVERAL)
            await caller.press("3")
            leg = await center.next_call(SEVERAL)
            await call_center.hears(caller, "kk", "nobody_free")
            await call_center.talk_shortly(leg)
            await caller.ended()
    appeal = await call_center.appeal("+77030000004")
    assert appeal.outcome == Outcome.REDIRECTED
    choices = [e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.CHOICE]
    assert choices[-1] == {"choice": "unified_center", "how": "key"}


async def test_after_a_failed_1414_the_caller_keeps_the_place(
    call_center: CallCenter,
) -> None:
    with times(call_center, ask_every=1.0, patience=60):
        async with (
            call_center.paused_consultant("201") as presence,
            call_center.unified_center() as center,
            call_center.caller("+77030000005") as caller,
        ):
            await caller.press("11")
            await call_center.hears(caller, "kk", "offer_unified_center", SEVERAL)
            (before,) = await call_center.redis.zrange("desk:waiting", 0, -1, withscores=True)
            await caller.press("3")
            await (await center.next_call(SEVERAL)).reject(486)
            await call_center.hears(caller, "kk", "transfer_failed_back")
            await until(lambda: waits(call_center), "the caller waits again")
            assert await call_center.redis.zrange("desk:waiting", 0, -1, withscores=True) == [
                before
            ]
            await presence.ask("201", PresenceState.READY, by="user:test")
            await until(lambda: rings(call_center, "+77030000005"), "a consultant is rung")
    assert (await call_center.appeal("+77030000005")).outcome == Outcome.LEFT_RINGING


async def test_every_key_works_while_the_music_plays(call_center: CallCenter) -> None:
    with times(call_center, key_timeout=0.5, patience=60):
        async with (
            call_center.paused_consultant("201"),
            call_center.unified_center() as center,
            call_center.caller("+77030000006") as caller,
        ):
            await caller.press("11")
            await call_center.hears(caller, "kk", "queue_next")
            before = caller.heard.last_packet_at
            await caller.press("*#0")
            await hears_again(call_center, caller, "kk", "queue_next", before)
            assert not call_center.was_heard(caller, "kk", "offer_stay")
            await asyncio.sleep(1)  # a key a second is heeded
            await caller.press("3")
            await call_center.hears(caller, "kk", "offer_stay", SEVERAL)
            assert center.calls == [], "3 was no answer before it was asked"
            await asyncio.sleep(1)
            await caller.press("3")
            await call_center.talk_shortly(await center.next_call(SEVERAL))
            await caller.ended()
    assert (await call_center.appeal("+77030000006")).outcome == Outcome.REDIRECTED


async def test_a_flood_of_keys_while_waiting_costs_nobody_the_place(
    call_center: CallCenter,
) -> None:
    with times(call_center, key_timeout=0.5, patience=60):
        async with (
            call_center.paused_consultant("201") as presence,
            call_center.caller("+77030000018") as caller,
        ):
            await caller.press("11")
            await until(lambda: waits(call_center), "the caller waits")
            (before,) = await call_center.redis.zrange("desk:waiting", 0, -1, withscores=True)
            await caller.press("079#*" * 8, gap=0.04)
            assert await call_center.redis.zrange("desk:waiting", 0, -1, withscores=True) == [
                before
            ]
            await presence.ask("201", PresenceState.READY, by="user:test")
            await until(lambda: rings(call_center, "+77030000018"), "a consultant is rung")
    assert (await call_center.appeal("+77030000018")).outcome == Outcome.LEFT_RINGING


async def test_waiting_by_choice_avoids_1414_and_silence_does_not(
    call_center: CallCenter,
) -> None:
    with times(call_center, ask_every=1.0, key_timeout=0.5, patience=14):
        async with (
            call_center.paused_consultant("201"),
            call_center.unified_center() as center,
            call_center.caller("+77030000014") as stays,
            call_center.caller("+77030000015") as silent,
        ):
            await stays.press("11")
            await silent.press("11")
            await call_center.hears(stays, "kk", "offer_unified_center", SEVERAL)
            await stays.press("1")
            leg = await center.next_call(SEVERAL)
            await call_center.hears(silent, "kk", "nobody_free")
            assert len(center.calls) == 1
            assert await waits(call_center), "the other one waits on"
            await call_center.talk_shortly(leg)
            await stays.hang_up()
    assert (await call_center.appeal("+77030000014")).outcome == Outcome.LEFT_WAITING
    assert (await call_center.appeal("+77030000015")).outcome == Outcome.REDIRECTED


async def test_who_cannot_speak_says_so_by_key_while_waiting(call_center: CallCenter) -> None:
    number = "+77030000016"
    with times(call_center, patience=60):
        async with (
            call_center.paused_consultant("201") as presence,
            call_center.caller("+77030000017") as earlier,
            call_center.caller(number) as silent,
        ):
            await earlier.press("11")
            await call_center.hears(earlier, "kk", "queue_next")
            await silent.press("11")
            await call_center.hears(silent, "kk", "queue_position")
            await silent.press("5")
            await call_center.hears(silent, "kk", "silent_words")
            await presence.ask("201", PresenceState.READY, by="user:test")
            await until(
                lambda: rings(call_center, number), "a consultant is rung for the silent one"
            )
            assert not await rings(call_center, "+77030000017")
    assert CallEvent.URGENT in await call_center.moments(await call_center.appeal(number))


async def test_nobody_signed_in_is_announced_alerts_and_offers_1414(
    call_center: CallCenter,
) -> None:
    await call_center.redis.delete("desk:alarms")
    async with call_center.unified_center() as center, call_center.caller("+77030000007") as caller:
        await caller.press("21")
        await call_center.hears(caller, "ru", "nobody_speaks_ru")
        await call_center.hears(caller, "ru", "offer_unified_center")
        await caller.press("3")
        await call_center.talk_shortly(await center.next_call(SEVERAL))
        await caller.ended()
        assert not call_center.was_heard(caller, "ru", "connecting")
        assert not call_center.was_heard(caller, "ru", "offer_kk")
    assert (await call_center.appeal("+77030000007")).outcome == Outcome.REDIRECTED
    (alert,) = await call_center.redis.lrange("desk:alarms", 0, -1)
    assert json.loads(alert).items() >= {"kind": "nobody_signed_in", "language": "ru"}.items()


async def test_the_agreed_other_language_is_used_and_counted(
    call_center: CallCenter,
) -> None:
    async with (
        call_center.consultant("202") as consultant,
        call_center.caller("+77030000008") as caller,
    ):
        await caller.press("11")
        await call_center.hears(caller, "kk", "nobody_speaks_kk")
        await call_center.hears(caller, "kk", "offer_ru")
        assert consultant.calls == []
        await caller.press("6")
        leg = await consultant.next_call()
        assert leg.invite is not None
        assert "111 ru" in leg.invite.need("From")
        await call_center.talk_shortly(leg)
        await call_center.hears(caller, "kk", "goodbye")
        await caller.ended()
    appeal = await call_center.appeal("+77030000008")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "kk"
    agreed = [
        e.detail for e in await call_center.events(appeal) if e.kind == CallEvent.OTHER_LANGUAGE
    ]
    assert agreed == [{"language": "ru"}]


async def test_silence_with_nobody_signed_in_waits_for_a_consultant(
    call_center: CallCenter,
) -> None:
    with times(call_center, patience=60):
        async with call_center.caller("+77030000009") as caller:
            await caller.press("11")
            await call_center.hears(caller, "kk", "offer_stay", SEVERAL)
            async with call_center.softphone("203") as consultant:
                await consultant.register()
                await call_center.talk_shortly(await consultant.next_call(SEVERAL))
                await caller.ended()
    assert (await call_center.appeal("+77030000009")).outcome == Outcome.TALKED


async def test_a_caller_lost_by_our_fault_goes_first(
    call_center: CallCenter,
) -> None:
    number = "+77030000011"
    await lose(call_center, number)
    with times(call_center, patience=60):
        async with (
            call_center.paused_consultant("201") as presence,
            call_center.caller("+77030000012") as earlier,
            call_center.caller(number) as back,
        ):
            await earlier.press("11")
            await call_center.hears(earlier, "kk", "queue_next")
            await back.press("11")
            await call_center.hears(back, "kk", "queue_next")
            await presence.ask("201", PresenceState.READY, by="user:test")
            await until(lambda: rings(call_center, number), "a consultant is rung for the one lost")
            assert not await rings(call_center, "+77030000012")
    appeal = await call_center.appeal(number)
    (waiting,) = [e for e in await call_center.events(appeal) if e.kind == CallEvent.WAITING]
    assert waiting.detail == {"why": "lost_before"}


async def test_a_cut_off_caller_prefers_the_same_consultant(
    call_center: CallCenter,
) -> None:
    number = "+77030000019"
    async with call_center.consultant("201") as had, call_center.consultant("204") as longest_idle:
        async with call_center.caller(number) as caller:
            leg = await connected(call_center, caller, had)
            await caller.hang_up("Q.850;cause=38")
            await leg.ended()
        await call_center.appeal(number)

        async def has_arrived() -> bool:
            caller = parse_caller_id(number)
            return all(
                each.callers.recent_drops.preferred_consultant(caller) == "201"
                for each in call_center.controllers
            )

        await until(has_arrived, "all controllers know who had the appeal")

        async def is_idle() -> bool:
            return await call_center.redis.zscore("desk:idle", "201") is not None

        await until(is_idle, "201 is free again")
        async with call_center.caller(number) as back:
            await back.press("0")
            await call_center.talk_shortly(await had.next_call())
            await back.ended()
        assert longest_idle.calls == []


async def lose(call_center: CallCenter, number: str) -> None:
    """Put down that our fault ended a call of this number a minute ago."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    async with unit_of_work(call_center.engine) as connection:
        appeal_id = await opened(connection, at, number=number)
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome=Outcome.LOST_TO_A_FAULT, ended_at=at
        )

    async def has_arrived() -> bool:
        return all(
            each.callers.recent_drops.contains(parse_caller_id(number))
            for each in call_center.controllers
        )

    await until(has_arrived, "the controllers know of it")
