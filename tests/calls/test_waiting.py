"""What a caller who waits hears, is asked, and may do (R1, R2, R15), on the real Asterisk."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from callcenter.appeals import store as appeals
from callcenter.appeals.callers import read_caller
from callcenter.consultants.states import State
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from tests.appeals import opened
from tests.calls.fragile import connected
from tests.calls.house import House, until
from tests.calls.waiting import SEVERAL, hears_again, rings, times, waits

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_place_and_expected_wait_are_told_at_once_and_again_in_the_callers_language(
    house: House,
) -> None:
    await house.redis.set("desk:handling", 130)
    try:
        with times(house, announce_every=1.0, patience=60):
            # Whoever is on a pause serves nobody: a wait is foretold from those who work.
            async with house.consultant("202") as busy, house.caller("+77030000013") as served:
                await served.press("21")
                leg = await busy.next_call(SEVERAL)
                await leg.answer()
                await house.hears_something(leg)
                await told_of_place_and_wait(house)
            await house.appeal("+77030000013")
    finally:
        await house.redis.delete("desk:handling")
    assert (await house.appeal("+77030000002")).outcome == Outcome.LEFT_WAITING


async def told_of_place_and_wait(house: House) -> None:
    """Two callers wait for the consultant who talks; the first leaves, and the second moves up."""
    async with (
        house.caller("+77030000001") as first,
        house.caller("+77030000002") as second,
    ):
        await first.press("21")
        await house.hears(first, "ru", "queue_hold")
        await house.hears(first, "ru", "queue_next")
        await second.press("21")
        await house.hears(second, "ru", "queue_position")
        for prompt in ("number_2", "queue_wait", "number_5"):
            await house.hears(second, "ru", prompt)
        await hears_again(house, second, "ru", "queue_position")
        await first.hang_up()
        await hears_again(house, second, "ru", "queue_next")
        assert not house.was_heard(second, "kk", "queue_position")


async def test_what_conversations_take_is_learned_from_them(house: House) -> None:
    await house.redis.delete("desk:handling")
    async with house.consultant("201") as consultant, house.caller("+77030000003") as caller:
        await caller.press("0")
        await house.talk_shortly(await consultant.next_call())
        await caller.ended()

    async def learned() -> bool:
        return 0 < float(await house.redis.get("desk:handling") or 0) < 10

    await until(learned, "the desk knows what the conversation took")
    await house.redis.delete("desk:handling")


async def test_whoever_waits_long_is_asked_and_may_go_to_1414(house: House) -> None:
    with times(house, ask_every=1.0, patience=60):
        async with (
            house.paused_consultant("201"),
            house.unified_center() as center,
            house.caller("+77030000004") as caller,
        ):
            await caller.press("11")
            await house.hears(caller, "kk", "offer_unified_center", SEVERAL)
            await caller.press("3")
            leg = await center.next_call(SEVERAL)
            await house.hears(caller, "kk", "nobody_free")
            await house.talk_shortly(leg)
            await caller.ended()
    appeal = await house.appeal("+77030000004")
    assert appeal.outcome == Outcome.REDIRECTED
    choices = [e.detail for e in await house.events(appeal) if e.kind == Moment.CHOICE]
    assert choices[-1] == {"choice": "unified_center", "how": "key"}


async def test_when_1414_fails_after_that_choice_the_caller_waits_on_in_the_same_place(
    house: House,
) -> None:
    with times(house, ask_every=1.0, patience=60):
        async with (
            house.paused_consultant("201") as duty,
            house.unified_center() as center,
            house.caller("+77030000005") as caller,
        ):
            await caller.press("11")
            await house.hears(caller, "kk", "offer_unified_center", SEVERAL)
            (before,) = await house.redis.zrange("desk:waiting", 0, -1, withscores=True)
            await caller.press("3")
            await (await center.next_call(SEVERAL)).reject(486)
            await house.hears(caller, "kk", "transfer_failed_back")
            await until(lambda: waits(house), "the caller waits again")
            assert await house.redis.zrange("desk:waiting", 0, -1, withscores=True) == [before]
            await duty.ask("201", State.READY, by="user:test")
            await until(lambda: rings(house, "+77030000005"), "a consultant is rung")
    assert (await house.appeal("+77030000005")).outcome == Outcome.LEFT_RINGING


async def test_every_key_works_while_the_music_plays(house: House) -> None:
    with times(house, key_timeout=0.5, patience=60):
        async with (
            house.paused_consultant("201"),
            house.unified_center() as center,
            house.caller("+77030000006") as caller,
        ):
            await caller.press("11")
            await house.hears(caller, "kk", "queue_next")
            before = caller.heard.last_packet_at
            await caller.press("*#0")
            await hears_again(house, caller, "kk", "queue_next", before)
            assert not house.was_heard(caller, "kk", "offer_stay")
            await asyncio.sleep(1)  # a key a second is heeded
            await caller.press("3")
            await house.hears(caller, "kk", "offer_stay", SEVERAL)
            assert center.calls == [], "3 was no answer before it was asked"
            await asyncio.sleep(1)
            await caller.press("3")
            await house.talk_shortly(await center.next_call(SEVERAL))
            await caller.ended()
    assert (await house.appeal("+77030000006")).outcome == Outcome.REDIRECTED


async def test_a_flood_of_keys_while_waiting_costs_nobody_the_place(house: House) -> None:
    with times(house, key_timeout=0.5, patience=60):
        async with (
            house.paused_consultant("201") as duty,
            house.caller("+77030000018") as caller,
        ):
            await caller.press("11")
            await until(lambda: waits(house), "the caller waits")
            (before,) = await house.redis.zrange("desk:waiting", 0, -1, withscores=True)
            await caller.press("079#*" * 8, gap=0.04)
            assert await house.redis.zrange("desk:waiting", 0, -1, withscores=True) == [before]
            await duty.ask("201", State.READY, by="user:test")
            await until(lambda: rings(house, "+77030000018"), "a consultant is rung")
    assert (await house.appeal("+77030000018")).outcome == Outcome.LEFT_RINGING


async def test_who_chooses_to_wait_on_is_not_sent_to_1414_and_who_is_silent_is(
    house: House,
) -> None:
    with times(house, ask_every=1.0, key_timeout=0.5, patience=14):
        async with (
            house.paused_consultant("201"),
            house.unified_center() as center,
            house.caller("+77030000014") as stays,
            house.caller("+77030000015") as silent,
        ):
            await stays.press("11")
            await silent.press("11")
            await house.hears(stays, "kk", "offer_unified_center", SEVERAL)
            await stays.press("1")
            leg = await center.next_call(SEVERAL)
            await house.hears(silent, "kk", "nobody_free")
            assert len(center.calls) == 1
            assert await waits(house), "the other one waits on"
            await house.talk_shortly(leg)
            await stays.hang_up()
    assert (await house.appeal("+77030000014")).outcome == Outcome.LEFT_WAITING
    assert (await house.appeal("+77030000015")).outcome == Outcome.REDIRECTED


async def test_who_cannot_speak_says_so_by_key_while_waiting(house: House) -> None:
    number = "+77030000016"
    with times(house, patience=60):
        async with (
            house.paused_consultant("201") as duty,
            house.caller("+77030000017") as earlier,
            house.caller(number) as silent,
        ):
            await earlier.press("11")
            await house.hears(earlier, "kk", "queue_next")
            await silent.press("11")
            await house.hears(silent, "kk", "queue_position")
            await silent.press("5")
            await house.hears(silent, "kk", "silent_words")
            await duty.ask("201", State.READY, by="user:test")
            await until(lambda: rings(house, number), "a consultant is rung for the silent one")
            assert not await rings(house, "+77030000017")
    assert Moment.URGENT in await house.moments(await house.appeal(number))


async def test_nobody_signed_in_is_told_at_once_alarms_and_1414_may_be_chosen(
    house: House,
) -> None:
    await house.redis.delete("desk:alarms")
    async with house.unified_center() as center, house.caller("+77030000007") as caller:
        await caller.press("21")
        await house.hears(caller, "ru", "nobody_speaks_ru")
        await house.hears(caller, "ru", "offer_unified_center")
        await caller.press("3")
        await house.talk_shortly(await center.next_call(SEVERAL))
        await caller.ended()
        assert not house.was_heard(caller, "ru", "connecting")
        assert not house.was_heard(caller, "ru", "offer_kk")
    assert (await house.appeal("+77030000007")).outcome == Outcome.REDIRECTED
    (alarm,) = await house.redis.lrange("desk:alarms", 0, -1)
    assert json.loads(alarm).items() >= {"kind": "nobody_signed_in", "language": "ru"}.items()


async def test_the_other_language_is_used_when_the_caller_agrees_and_it_is_counted(
    house: House,
) -> None:
    async with house.consultant("202") as consultant, house.caller("+77030000008") as caller:
        await caller.press("11")
        await house.hears(caller, "kk", "nobody_speaks_kk")
        await house.hears(caller, "kk", "offer_ru")
        assert consultant.calls == []
        await caller.press("6")
        leg = await consultant.next_call()
        assert leg.invite is not None
        assert "111 ru" in leg.invite.need("From")
        await house.talk_shortly(leg)
        await house.hears(caller, "kk", "goodbye")
        await caller.ended()
    appeal = await house.appeal("+77030000008")
    assert appeal.outcome == Outcome.TALKED
    assert appeal.language == "kk"
    agreed = [e.detail for e in await house.events(appeal) if e.kind == Moment.OTHER_LANGUAGE]
    assert agreed == [{"language": "ru"}]


async def test_silence_when_nobody_is_signed_in_waits_for_whoever_signs_in(house: House) -> None:
    with times(house, patience=60):
        async with house.caller("+77030000009") as caller:
            await caller.press("11")
            await house.hears(caller, "kk", "offer_stay", SEVERAL)
            async with house.softphone("203") as consultant:
                await consultant.register()
                await house.talk_shortly(await consultant.next_call(SEVERAL))
                await caller.ended()
    assert (await house.appeal("+77030000009")).outcome == Outcome.TALKED


async def test_a_caller_lost_by_our_fault_who_rings_back_goes_before_others(house: House) -> None:
    number = "+77030000011"
    await lose(house, number)
    with times(house, patience=60):
        async with (
            house.paused_consultant("201") as duty,
            house.caller("+77030000012") as earlier,
            house.caller(number) as back,
        ):
            await earlier.press("11")
            await house.hears(earlier, "kk", "queue_next")
            await back.press("11")
            await house.hears(back, "kk", "queue_next")
            await duty.ask("201", State.READY, by="user:test")
            await until(lambda: rings(house, number), "a consultant is rung for the one lost")
            assert not await rings(house, "+77030000012")
    appeal = await house.appeal(number)
    (waiting,) = [e for e in await house.events(appeal) if e.kind == Moment.WAITING]
    assert waiting.detail == {"why": "lost_before"}


async def test_whose_call_was_cut_off_and_rings_back_gets_the_same_consultant_who_is_free(
    house: House,
) -> None:
    number = "+77030000019"
    async with house.consultant("201") as had, house.consultant("204") as longest_idle:
        async with house.caller(number) as caller:
            leg = await connected(house, caller, had)
            await caller.hang_up("Q.850;cause=38")
            await leg.ended()
        await house.appeal(number)

        async def is_known() -> bool:
            caller = read_caller(number)
            return all(each.known.losses.had_by(caller) == "201" for each in house.controllers)

        await until(is_known, "all controllers know who had the appeal")

        async def is_idle() -> bool:
            return await house.redis.zscore("desk:idle", "201") is not None

        await until(is_idle, "201 is free again")
        async with house.caller(number) as back:
            await back.press("0")
            await house.talk_shortly(await had.next_call())
            await back.ended()
        assert longest_idle.calls == []


async def lose(house: House, number: str) -> None:
    """Put down that our fault ended a call of this number a minute ago."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    async with unit_of_work(house.engine) as connection:
        appeal_id = await opened(connection, at, number=number)
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome=Outcome.LOST_TO_A_FAULT, ended_at=at
        )

    async def is_known() -> bool:
        return all(each.known.losses.include(read_caller(number)) for each in house.controllers)

    await until(is_known, "the controllers know of it")
