"""Presence states on a real Redis: every transition."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import NotFree, NotOnRoster, PlainRules
from callcenter.consultants.rules.states import (
    MISSED,
    TELEPHONE,
    IllegalPresenceChange,
    PresenceState,
)
from callcenter.telephony.acd import distributor as acd
from callcenter.telephony.acd.distributor import RedisCallDistributor
from tests.consultants.distributors import (
    FREE,
    PATIENCE,
    PLAIN,
    SIGN_IN,
    TALKING,
    UNREGISTERED,
    consultant,
    distributor_and_presence,
    running_distributor,
    until_state,
)
from tests.seeds import generator


async def test_only_who_has_signed_in_is_offered_calls(redis: Redis) -> None:
    async with (
        distributor_and_presence(redis, SIGN_IN, "201") as (distributor, presence),
        distributor.place("call", "kk") as place,
    ):
        assert await place.wait_for_offer(0.2) is None
        waiting = asyncio.create_task(place.wait_for_offer(PATIENCE))
        assert await presence.ask("201", PresenceState.READY, by="self") in (
            PresenceState.READY,
            PresenceState.OFFERED,
        )
        assert await waiting is not None
        assert (await presence.of("201")).state is PresenceState.OFFERED


async def test_a_registered_telephone_signs_in_where_not_required(
    redis: Redis,
) -> None:
    async with distributor_and_presence(redis, PLAIN, "201") as (distributor, presence):
        assert (await presence.of("201")).state is PresenceState.READY
        await distributor.update_devices({"201": UNREGISTERED}, 2)
        presence_now = await presence.of("201")
        assert (presence_now.state, presence_now.reason, presence_now.by) == (
            PresenceState.SIGNED_OUT,
            TELEPHONE,
            "desk",
        )
        await distributor.update_devices({"201": FREE}, 3)
        assert (await presence.of("201")).state is PresenceState.READY


async def test_a_telephone_does_not_sign_in_who_chose_to_leave(
    redis: Redis,
) -> None:
    async with distributor_and_presence(redis, PLAIN, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.SIGNED_OUT, by="self")
        await distributor.update_devices({"201": TALKING}, 2)
        await distributor.update_devices({"201": FREE}, 3)
        assert (await presence.of("201")).state is PresenceState.SIGNED_OUT


async def test_a_conversation_goes_through_its_states_to_wrap_up(
    redis: Redis,
) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.READY, by="self")
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            place.mark_ringing()
            await until_state(presence, "201", PresenceState.RINGING)
            place.mark_answered()
            await until_state(presence, "201", PresenceState.TALKING)
        assert (await presence.of("201")).state is PresenceState.WRAP_UP
        assert not await redis.zcard("desk:idle")
        await until_state(presence, "201", PresenceState.READY)


async def test_a_call_wakes_the_heartbeat_that_ends_wrap_up(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller without calls beats rarely; what ended meanwhile keeps no caller waiting."""
    monkeypatch.setattr(acd, "IDLE_HEARTBEAT_INTERVAL", 3600.0)
    async with distributor_and_presence(redis, SIGN_IN, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.READY, by="self")
        await distributor.script("occupy", "call", "line-2", "201")
        await distributor.script("leave", "call", "talked", "", "line-2")
        due = await redis.zscore("desk:wrap_up", "201")
        assert due is not None
        async with asyncio.timeout(PATIENCE):
            while await distributor.now() <= due:
                await asyncio.sleep(0.01)
        async with distributor.place("next", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None


async def test_wrap_up_is_ended_early_by_the_consultant(redis: Redis) -> None:
    rules = PlainRules(wrap_up=60)
    async with distributor_and_presence(redis, rules, "201") as (distributor, presence):
        async with distributor.place("call", "kk") as place:
            await place.wait_for_offer(PATIENCE)
            place.mark_answered()
        assert (await presence.of("201")).state is PresenceState.WRAP_UP
        async with distributor.place("next", "kk") as place:
            assert await place.wait_for_offer(0.2) is None
            assert await presence.ask("201", PresenceState.READY, by="self") is PresenceState.READY
            assert await place.wait_for_offer(PATIENCE) is not None


async def test_wrap_up_is_prolonged_within_the_limit(redis: Redis) -> None:
    async with distributor_and_presence(redis, PlainRules(wrap_up=60), "201") as (
        distributor,
        presence,
    ):
        with pytest.raises(IllegalPresenceChange):
            await presence.prolong_wrap_up("201", 60, 150)
        async with distributor.place("call", "kk") as place:
            await place.wait_for_offer(PATIENCE)
            place.mark_answered()
        began = (await presence.of("201")).since
        gained = [await presence.prolong_wrap_up("201", 60, 150) for _ in range(3)]
        assert gained == [60, pytest.approx(30, abs=0.01), 0]
        ends = await redis.zscore("desk:wrap_up", "201")
        assert ends == pytest.approx(began + 150, abs=0.01)


async def test_an_outbound_caller_gets_no_offer_and_wraps_up(
    redis: Redis,
) -> None:
    rules = PlainRules(wrap_up=60)
    for talked, after in ((True, PresenceState.WRAP_UP), (False, PresenceState.READY)):
        await redis.flushdb()
        async with distributor_and_presence(redis, rules, "201") as (distributor, presence):
            async with (
                distributor.reserve("out", "201") as occupation,
                distributor.place("in", "kk") as place,
            ):
                assert (await presence.of("201")).state is PresenceState.TALKING
                assert await place.wait_for_offer(0.2) is None
                occupation.has_talked = talked
            assert (await presence.of("201")).state is after
            assert await redis.get("desk:handling") is None


@pytest.mark.parametrize("talked", [True, False])
async def test_an_outbound_call_from_a_pause_returns_to_it(redis: Redis, talked: bool) -> None:
    async with distributor_and_presence(redis, PlainRules(wrap_up=60), "201") as (
        distributor,
        presence,
    ):
        await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
        async with distributor.reserve("out", "201") as occupation:
            occupation.has_talked = talked
        paused = await presence.of("201")
        assert (paused.state, paused.reason) == (PresenceState.PAUSED, "lunch")
        async with distributor.reserve("out", "201"):
            await presence.ask("201", PresenceState.READY, by="self")
        assert (await presence.of("201")).state is PresenceState.READY


async def test_an_unanswered_outbound_call_in_wrap_up_restarts_it(redis: Redis) -> None:
    async with distributor_and_presence(redis, PlainRules(wrap_up=60), "201") as (
        distributor,
        presence,
    ):
        async with distributor.reserve("out", "201") as occupation:
            occupation.has_talked = True
        async with distributor.reserve("again", "201"):
            assert (await presence.of("201")).after is PresenceState.WRAP_UP
        assert (await presence.of("201")).state is PresenceState.WRAP_UP
        assert await redis.zcard("desk:wrap_up") == 1


async def test_who_is_not_at_work_or_with_somebody_cannot_call(redis: Redis) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201") as (distributor, presence):
        with pytest.raises(NotFree, match="signed_out"):
            async with distributor.reserve("out", "201"):
                pass
        with pytest.raises(NotOnRoster):
            async with distributor.reserve("out", "999"):
                pass
        await presence.ask("201", PresenceState.READY, by="self")
        async with distributor.place("in", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None
            with pytest.raises(NotFree, match="offered"):
                async with distributor.reserve("out", "201"):
                    pass
            assert (await presence.of("201")).state is PresenceState.OFFERED


async def test_of_an_offer_and_an_outbound_call_one_wins(redis: Redis) -> None:
    rng = generator("an offer and an outbound call")
    won = {True: 0, False: 0}
    for turn in range(40):
        await redis.flushdb()
        async with distributor_and_presence(redis, PLAIN, "201") as (distributor, _):

            async def calls(
                distributor: RedisCallDistributor = distributor, turn: int = turn
            ) -> bool:
                await asyncio.sleep(rng.random() / 500)
                try:
                    async with distributor.reserve(f"out-{turn}", "201"):
                        await asyncio.sleep(0.05)
                except NotFree:
                    return False
                return True

            calling = asyncio.create_task(calls())
            await asyncio.sleep(rng.random() / 500)
            async with distributor.place("in", "kk") as place:
                offered = await place.wait_for_offer(0.03) is not None
                called = await calling
            assert called != offered
            won[called] += 1
    assert all(won.values()), won


async def test_two_unanswered_offers_in_a_row_pause_with_reason(redis: Redis) -> None:
    async with (
        distributor_and_presence(redis, PLAIN, "201") as (distributor, presence),
        distributor.place("call", "kk") as place,
    ):
        for state in (PresenceState.READY, PresenceState.PAUSED):
            await place.wait_for_offer(PATIENCE + 5)
            place.mark_ringing()
            await place.release(unanswered=True)
            assert (await presence.of("201")).state is state
        paused = await presence.of("201")
        assert (paused.reason, paused.by) == (MISSED, "desk")
        assert await presence.ask("201", PresenceState.READY, by="self") is PresenceState.READY
        assert await place.wait_for_offer(PATIENCE) is not None


async def test_only_a_person_ends_a_pause_for_missed_calls(redis: Redis) -> None:
    rules = PlainRules(away_limit=0.1)
    async with distributor_and_presence(redis, rules, "201") as (distributor, presence):
        async with distributor.place("call", "kk") as place:
            for _ in range(2):
                assert await place.wait_for_offer(PATIENCE + 5) is not None
                await place.release(unanswered=True)
        for state in (UNREGISTERED, FREE):
            await distributor.update_devices({"201": state}, 2)
            paused = await presence.of("201")
            assert (paused.state, paused.reason) == (PresenceState.PAUSED, MISSED)
        await distributor.update_devices({"201": UNREGISTERED}, 3)
        await until_state(presence, "201", PresenceState.SIGNED_OUT)
        await distributor.update_devices({"201": FREE}, 4)
        status = await presence.of("201")
        assert (status.state, status.reason) == (PresenceState.SIGNED_OUT, MISSED)
        assert await presence.ask("201", PresenceState.READY, by="self") is PresenceState.READY


async def test_opening_the_page_makes_nobody_free(redis: Redis) -> None:
    """The telephone in the page registers as it opens, and again as it is loaded anew."""
    own = replace(consultant("201"), in_browser=True)
    presence = PresenceService(redis, PLAIN)
    async with running_distributor(redis, "line-1", own) as distributor:
        for number, state in enumerate((FREE, UNREGISTERED, FREE)):
            await distributor.update_devices({"201": state}, number + 1)
            assert (await presence.of("201")).state is PresenceState.SIGNED_OUT
        await presence.ask("201", PresenceState.READY, by="self", page=True)
        for number, state in enumerate((UNREGISTERED, FREE)):
            await distributor.update_devices({"201": state}, number + 4)
            assert (await presence.of("201")).state is PresenceState.READY
        async with distributor.place("call", "kk") as place:
            assert await place.wait_for_offer(PATIENCE) is not None


async def test_an_answer_between_two_missed_offers_forgives_the_first(redis: Redis) -> None:
    async with distributor_and_presence(redis, PLAIN, "201") as (distributor, presence):
        for answers in (False, True, False):
            async with distributor.place("call", "kk") as place:
                assert await place.wait_for_offer(PATIENCE + 5) is not None
                if answers:
                    place.mark_answered()
                else:
                    await place.release(unanswered=True)
        assert (await presence.of("201")).state is PresenceState.READY


@pytest.mark.parametrize("target", [PresenceState.PAUSED, PresenceState.SIGNED_OUT])
async def test_leaving_while_ringing_passes_the_offer_on(
    redis: Redis, target: PresenceState
) -> None:
    async with distributor_and_presence(redis, PLAIN, "201", "202") as (distributor, presence):
        stopped: list[str] = []
        distributor.on_withdrawn(stopped.append)
        async with distributor.place("call", "kk") as place:
            first = await place.wait_for_offer(PATIENCE)
            assert first is not None
            place.mark_ringing()
            await until_state(presence, first.extension, PresenceState.RINGING)
            assert await presence.ask(first.extension, target, by="self", reason="lunch") is target
            async with asyncio.timeout(PATIENCE):
                while not stopped:
                    await asyncio.sleep(0.01)
            assert stopped == [first.extension]
            await place.release(unanswered=True)
            second = await place.wait_for_offer(PATIENCE)
            assert second is not None
            assert {first.extension, second.extension} == {"201", "202"}
        assert (await presence.of(first.extension)).state is target


async def test_what_is_requested_during_a_conversation_comes_after_it(redis: Redis) -> None:
    rules = PlainRules(wrap_up=60)
    async with distributor_and_presence(redis, rules, "201") as (distributor, presence):
        async with distributor.place("call", "kk") as place:
            await place.wait_for_offer(PATIENCE)
            place.mark_answered()
            await until_state(presence, "201", PresenceState.TALKING)
            by = "user:aigul"
            assert (
                await presence.ask("201", PresenceState.PAUSED, by=by, reason="lunch")
                is PresenceState.TALKING
            )
            assert (await presence.of("201")).after is PresenceState.PAUSED
        paused = await presence.of("201")
        assert (paused.state, paused.reason, paused.by) == (PresenceState.PAUSED, "lunch", by)
        assert paused.after is None


async def test_an_absent_telephone_signs_out_and_a_short_absence_not(
    redis: Redis,
) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.READY, by="self")
        await distributor.update_devices({"201": UNREGISTERED}, 2)
        assert (await presence.of("201")).state is PresenceState.READY
        await distributor.update_devices({"201": FREE}, 3)
        assert not await redis.exists("desk:gone")
        await distributor.update_devices({"201": UNREGISTERED}, 4)
        await until_state(presence, "201", PresenceState.SIGNED_OUT)
        assert (await presence.of("201")).reason == TELEPHONE


async def test_who_leaves_the_roster_is_signed_out(redis: Redis) -> None:
    async with distributor_and_presence(redis, PLAIN, "201", "202") as (distributor, presence):
        await distributor.update_roster([consultant("201")])
        with pytest.raises(NotOnRoster):
            await presence.of("202")
        with pytest.raises(NotOnRoster):
            await presence.ask("202", PresenceState.READY, by="self")
        assert str(await redis.hget("desk:states", "202")).startswith("signed_out ")


async def test_an_illegal_wish_is_refused_and_names_both(redis: Redis) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201") as (_, presence):
        with pytest.raises(IllegalPresenceChange, match="signed_out cannot become paused"):
            await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
        assert (await presence.of("201")).state is PresenceState.SIGNED_OUT
