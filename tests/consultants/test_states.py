"""What consultants are doing, on a real Redis: every move."""

import asyncio

import pytest
from redis.asyncio import Redis

from callcenter.consultants.desk import Desk
from callcenter.consultants.script import NotFree, NotOnRoster, PlainRules
from callcenter.consultants.states import MISSED, TELEPHONE, IllegalMove, State
from tests.consultants.desks import (
    AWAY,
    FREE,
    PATIENCE,
    PLAIN,
    SIGN_IN,
    TALKING,
    at_desk,
    consultant,
    until_state,
)
from tests.seeds import generator


async def test_only_who_has_signed_in_is_offered_calls(redis: Redis) -> None:
    async with at_desk(redis, SIGN_IN, "201") as (desk, duty), desk.place("call", "kk") as place:
        assert await place.offer(0.2) is None
        waiting = asyncio.create_task(place.offer(PATIENCE))
        assert await duty.ask("201", State.READY, by="self") in (State.READY, State.OFFERED)
        assert await waiting is not None
        assert (await duty.of("201")).state is State.OFFERED


async def test_a_registered_telephone_signs_in_and_out_where_that_is_not_required(
    redis: Redis,
) -> None:
    async with at_desk(redis, PLAIN, "201") as (desk, duty):
        assert (await duty.of("201")).state is State.READY
        await desk.tell_devices({"201": AWAY}, 2)
        away = await duty.of("201")
        assert (away.state, away.reason, away.by) == (State.SIGNED_OUT, TELEPHONE, "desk")
        await desk.tell_devices({"201": FREE}, 3)
        assert (await duty.of("201")).state is State.READY


async def test_who_signed_out_by_choice_is_not_signed_in_by_a_word_of_the_telephone(
    redis: Redis,
) -> None:
    async with at_desk(redis, PLAIN, "201") as (desk, duty):
        await duty.ask("201", State.SIGNED_OUT, by="self")
        await desk.tell_devices({"201": TALKING}, 2)
        await desk.tell_devices({"201": FREE}, 3)
        assert (await duty.of("201")).state is State.SIGNED_OUT


async def test_a_conversation_goes_through_its_states_and_is_followed_by_wrap_up(
    redis: Redis,
) -> None:
    async with at_desk(redis, SIGN_IN, "201") as (desk, duty):
        await duty.ask("201", State.READY, by="self")
        async with desk.place("call", "kk") as place:
            assert await place.offer(PATIENCE) is not None
            place.rings()
            await until_state(duty, "201", State.RINGING)
            place.answered()
            await until_state(duty, "201", State.TALKING)
        assert (await duty.of("201")).state is State.WRAP_UP
        assert not await redis.zcard("desk:idle")
        await until_state(duty, "201", State.READY)


async def test_wrap_up_is_ended_early_by_the_consultant(redis: Redis) -> None:
    rules = PlainRules(wrap_up=60)
    async with at_desk(redis, rules, "201") as (desk, duty):
        async with desk.place("call", "kk") as place:
            await place.offer(PATIENCE)
            place.answered()
        assert (await duty.of("201")).state is State.WRAP_UP
        async with desk.place("next", "kk") as place:
            assert await place.offer(0.2) is None
            assert await duty.ask("201", State.READY, by="self") is State.READY
            assert await place.offer(PATIENCE) is not None


async def test_who_calls_somebody_is_offered_nobody_and_wraps_up_if_they_talked(
    redis: Redis,
) -> None:
    rules = PlainRules(wrap_up=60)
    for talked, after in ((True, State.WRAP_UP), (False, State.READY)):
        await redis.flushdb()
        async with at_desk(redis, rules, "201") as (desk, duty):
            async with desk.occupied("out", "201") as occupation, desk.place("in", "kk") as place:
                assert (await duty.of("201")).state is State.TALKING
                assert await place.offer(0.2) is None
                occupation.talked = talked
            assert (await duty.of("201")).state is after
            assert await redis.get("desk:handling") is None


@pytest.mark.parametrize("talked", [True, False])
async def test_who_calls_somebody_from_a_pause_goes_on_with_it_unless_they_asked_otherwise(
    redis: Redis, talked: bool
) -> None:
    async with at_desk(redis, PlainRules(wrap_up=60), "201") as (desk, duty):
        await duty.ask("201", State.PAUSED, by="self", reason="lunch")
        async with desk.occupied("out", "201") as occupation:
            occupation.talked = talked
        paused = await duty.of("201")
        assert (paused.state, paused.reason) == (State.PAUSED, "lunch")
        async with desk.occupied("out", "201"):
            await duty.ask("201", State.READY, by="self")
        assert (await duty.of("201")).state is State.READY


async def test_who_calls_nobody_to_the_end_in_wrap_up_has_wrap_up_again(redis: Redis) -> None:
    async with at_desk(redis, PlainRules(wrap_up=60), "201") as (desk, duty):
        async with desk.occupied("out", "201") as occupation:
            occupation.talked = True
        async with desk.occupied("again", "201"):
            assert (await duty.of("201")).after is State.WRAP_UP
        assert (await duty.of("201")).state is State.WRAP_UP
        assert await redis.zcard("desk:wrap_up") == 1


async def test_who_is_not_at_work_or_with_somebody_cannot_call(redis: Redis) -> None:
    async with at_desk(redis, SIGN_IN, "201") as (desk, duty):
        with pytest.raises(NotFree, match="signed_out"):
            async with desk.occupied("out", "201"):
                pass
        with pytest.raises(NotOnRoster):
            async with desk.occupied("out", "999"):
                pass
        await duty.ask("201", State.READY, by="self")
        async with desk.place("in", "kk") as place:
            assert await place.offer(PATIENCE) is not None
            with pytest.raises(NotFree, match="offered"):
                async with desk.occupied("out", "201"):
                    pass
            assert (await duty.of("201")).state is State.OFFERED


async def test_of_an_offer_and_a_call_at_the_same_time_exactly_one_wins(redis: Redis) -> None:
    rng = generator("an offer and a call")
    won = {True: 0, False: 0}
    for turn in range(40):
        await redis.flushdb()
        async with at_desk(redis, PLAIN, "201") as (desk, _):

            async def calls(desk: Desk = desk, turn: int = turn) -> bool:
                await asyncio.sleep(rng.random() / 500)
                try:
                    async with desk.occupied(f"out-{turn}", "201"):
                        await asyncio.sleep(0.05)
                except NotFree:
                    return False
                return True

            calling = asyncio.create_task(calls())
            await asyncio.sleep(rng.random() / 500)
            async with desk.place("in", "kk") as place:
                offered = await place.offer(0.03) is not None
                called = await calling
            assert called != offered
            won[called] += 1
    assert all(won.values()), won


async def test_two_offers_in_a_row_that_ring_out_pause_and_say_why(redis: Redis) -> None:
    async with at_desk(redis, PLAIN, "201") as (desk, duty), desk.place("call", "kk") as place:
        for state in (State.READY, State.PAUSED):
            await place.offer(PATIENCE + 5)
            place.rings()
            await place.give_back(unanswered=True)
            assert (await duty.of("201")).state is state
        paused = await duty.of("201")
        assert (paused.reason, paused.by) == (MISSED, "desk")
        assert await duty.ask("201", State.READY, by="self") is State.READY
        assert await place.offer(PATIENCE) is not None


async def test_an_answer_between_two_missed_offers_forgives_the_first(redis: Redis) -> None:
    async with at_desk(redis, PLAIN, "201") as (desk, duty):
        for answers in (False, True, False):
            async with desk.place("call", "kk") as place:
                assert await place.offer(PATIENCE + 5) is not None
                if answers:
                    place.answered()
                else:
                    await place.give_back(unanswered=True)
        assert (await duty.of("201")).state is State.READY


@pytest.mark.parametrize("wanted", [State.PAUSED, State.SIGNED_OUT])
async def test_who_leaves_while_the_telephone_rings_is_not_rung_and_the_next_is_offered(
    redis: Redis, wanted: State
) -> None:
    async with at_desk(redis, PLAIN, "201", "202") as (desk, duty):
        stopped: list[str] = []
        desk.on_withdrawn = stopped.append
        async with desk.place("call", "kk") as place:
            first = await place.offer(PATIENCE)
            assert first is not None
            place.rings()
            await until_state(duty, first.extension, State.RINGING)
            assert await duty.ask(first.extension, wanted, by="self", reason="lunch") is wanted
            async with asyncio.timeout(PATIENCE):
                while not stopped:
                    await asyncio.sleep(0.01)
            assert stopped == [first.extension]
            await place.give_back(unanswered=True)
            second = await place.offer(PATIENCE)
            assert second is not None
            assert {first.extension, second.extension} == {"201", "202"}
        assert (await duty.of(first.extension)).state is wanted


async def test_what_is_asked_for_during_a_conversation_comes_after_it(redis: Redis) -> None:
    rules = PlainRules(wrap_up=60)
    async with at_desk(redis, rules, "201") as (desk, duty):
        async with desk.place("call", "kk") as place:
            await place.offer(PATIENCE)
            place.answered()
            await until_state(duty, "201", State.TALKING)
            by = "user:aigul"
            assert await duty.ask("201", State.PAUSED, by=by, reason="lunch") is State.TALKING
            assert (await duty.of("201")).after is State.PAUSED
        paused = await duty.of("201")
        assert (paused.state, paused.reason, paused.by) == (State.PAUSED, "lunch", by)
        assert paused.after is None


async def test_a_telephone_that_stays_away_signs_out_and_a_short_absence_does_not(
    redis: Redis,
) -> None:
    async with at_desk(redis, SIGN_IN, "201") as (desk, duty):
        await duty.ask("201", State.READY, by="self")
        await desk.tell_devices({"201": AWAY}, 2)
        assert (await duty.of("201")).state is State.READY
        await desk.tell_devices({"201": FREE}, 3)
        assert not await redis.exists("desk:gone")
        await desk.tell_devices({"201": AWAY}, 4)
        await until_state(duty, "201", State.SIGNED_OUT)
        assert (await duty.of("201")).reason == TELEPHONE


async def test_who_leaves_the_roster_is_signed_out(redis: Redis) -> None:
    async with at_desk(redis, PLAIN, "201", "202") as (desk, duty):
        await desk.tell_roster([consultant("201")])
        with pytest.raises(NotOnRoster):
            await duty.of("202")
        with pytest.raises(NotOnRoster):
            await duty.ask("202", State.READY, by="self")
        assert str(await redis.hget("desk:states", "202")).startswith("signed_out ")


async def test_an_illegal_wish_is_refused_and_names_both(redis: Redis) -> None:
    async with at_desk(redis, SIGN_IN, "201") as (_, duty):
        with pytest.raises(IllegalMove, match="signed_out cannot become paused"):
            await duty.ask("201", State.PAUSED, by="self", reason="lunch")
        assert (await duty.of("201")).state is State.SIGNED_OUT
