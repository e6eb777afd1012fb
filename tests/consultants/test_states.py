"""What consultants are doing, on a real Redis: every move, and no ghost whatever happens."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.history import Change
from callcenter.consultants.script import NotFree, NotOnRoster, PlainRules
from callcenter.consultants.states import ENGAGED, MISSED, PAGE_GONE, TELEPHONE, IllegalMove, State
from callcenter.errors import WeFailed
from tests.consultants.machine import EVENTS, Machine
from tests.consultants.test_desk import AWAY, FREE, PATIENCE, TALKING, consultant

SIGN_IN = PlainRules(sign_in_required=True, wrap_up=0.3, away_limit=0.1)
PLAIN = PlainRules()


@asynccontextmanager
async def at_desk(
    redis: Redis, rules: PlainRules, *extensions: str
) -> AsyncIterator[tuple[Desk, DutyDesk]]:
    """A running desk with these consultants, whose telephones are registered and free."""
    desk = Desk(redis, "line-1", rules)
    running = asyncio.create_task(desk.run())
    await desk.tell_roster([consultant(extension) for extension in extensions])
    await desk.tell_devices(dict.fromkeys(extensions, FREE), 1)
    try:
        yield desk, DutyDesk(redis, rules)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until_state(duty: DutyDesk, extension: str, state: State) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await duty.of(extension)).state is not state:
            await asyncio.sleep(0.01)


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
    won = {True: 0, False: 0}
    for turn in range(40):
        await redis.flushdb()
        async with at_desk(redis, PLAIN, "201") as (desk, _):

            async def calls(desk: Desk = desk, turn: int = turn) -> bool:
                await asyncio.sleep(random.random() / 500)
                try:
                    async with desk.occupied(f"out-{turn}", "201"):
                        await asyncio.sleep(0.05)
                except NotFree:
                    return False
                return True

            calling = asyncio.create_task(calls())
            await asyncio.sleep(random.random() / 500)
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


async def test_who_works_by_a_page_is_paused_when_it_is_gone_and_not_while_it_is_open(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, page_limit=0.6)
    await redis.set("desk:web", "lives")
    async with at_desk(redis, rules, "201", "202", "203") as (desk, duty):
        for extension, page in (("201", True), ("202", True), ("203", False)):
            await duty.ask(extension, State.READY, by="self", page=page)
        async with asyncio.timeout(PATIENCE):
            while (await duty.of("202")).state is State.READY:
                await duty.seen("201")
                await duty.seen("203")  # a page that is open beside a telephone that signed in
                await asyncio.sleep(0.02)
        gone = await duty.of("202")
        assert (gone.state, gone.reason, gone.by) == (State.PAUSED, PAGE_GONE, "desk")
        assert [(await duty.of(each)).state for each in ("201", "203")] == [State.READY] * 2
        await until_state(duty, "201", State.PAUSED)
        await desk._do("tick", "line-1")
        assert (await duty.of("203")).state is State.READY


async def test_nobody_is_paused_because_our_pages_are_away_and_time_begins_anew_with_them(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, page_limit=60)
    async with at_desk(redis, rules, "201") as (desk, duty):
        await duty.ask("201", State.READY, by="self", page=True)
        await redis.zadd("desk:pages", {"201": 1.0})
        await desk._do("tick", "line-1")
        serving = asyncio.create_task(duty.pages_served())
        async with asyncio.timeout(PATIENCE):
            while not await redis.exists("desk:web"):
                await asyncio.sleep(0.01)
        await desk._do("tick", "line-1")
        assert (await duty.of("201")).state is State.READY
        await redis.zadd("desk:pages", {"201": 1.0})
        await until_state(duty, "201", State.PAUSED)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_page_that_is_gone_in_a_conversation_pauses_after_it(redis: Redis) -> None:
    rules = PlainRules(sign_in_required=True, wrap_up=60, page_limit=0.1)
    await redis.set("desk:web", "lives")
    async with at_desk(redis, rules, "201") as (desk, duty):
        await duty.ask("201", State.READY, by="self", page=True)
        async with desk.place("call", "kk") as place:
            assert await place.offer(PATIENCE) is not None
            place.answered()
            await until_state(duty, "201", State.TALKING)
            async with asyncio.timeout(PATIENCE):
                while (await duty.of("201")).after is None:
                    await asyncio.sleep(0.01)
            assert (await duty.of("201")).state is State.TALKING
        paused = await duty.of("201")
        assert (paused.state, paused.reason) == (State.PAUSED, PAGE_GONE)


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


async def test_a_dead_controller_leaves_nobody_ringing_and_a_conversation_talking(
    redis: Redis,
) -> None:
    async with at_desk(redis, SIGN_IN, "201", "202") as (living, duty):
        for extension in ("201", "202"):
            await duty.ask(extension, State.READY, by="self")
        dying = Desk(redis, "line-2", SIGN_IN)
        await dying._do("tick", "line-2")
        for call in ("one", "two"):
            await dying._do("wait", call, "line-2", "kk", "1", "1", "kk", "")
            await dying._do("stage", call, "ringing")
        talks = str(await redis.hget("desk:held", "two"))
        await dying._do("stage", "two", "talking")
        await living.tell_devices({talks: TALKING}, 2)
        rang = "201" if talks == "202" else "202"
        async with asyncio.timeout(10):
            while await redis.exists("desk:held"):
                await asyncio.sleep(0.05)
        assert (await duty.of(rang)).state is State.READY
        assert (await duty.of(talks)).state is State.TALKING
        await living.tell_devices({talks: FREE}, 3)
        assert (await duty.of(talks)).state is State.WRAP_UP


async def test_a_redis_that_lost_everything_gets_the_last_states_back(redis: Redis) -> None:
    async with at_desk(redis, SIGN_IN, "201", "202") as (desk, duty):
        kept: dict[str, Change] = {}

        async def keep(changes: Sequence[Change]) -> None:
            kept.update({change.extension: change for change in changes})

        keeping = asyncio.create_task(duty.hand_over(keep))
        for extension in ("201", "202"):
            await duty.ask(extension, State.READY, by="self")
        await duty.ask("201", State.PAUSED, by="self", reason="lunch")
        await until_empty(redis)
        await redis.flushdb()
        await desk.tell_roster([consultant("201"), consultant("202")], kept)
        lunch = await duty.of("201")
        assert (lunch.state, lunch.reason) == (State.PAUSED, "lunch")
        assert lunch.since == pytest.approx(kept["201"].at.timestamp(), abs=1e-5)
        assert (await duty.of("202")).state is State.READY
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def until_empty(redis: Redis) -> None:
    async with asyncio.timeout(PATIENCE):
        while await redis.xlen("desk:changes"):
            await asyncio.sleep(0.01)


async def test_a_change_leaves_redis_only_when_it_was_kept(redis: Redis) -> None:
    async with at_desk(redis, PLAIN, "201") as (_, duty):
        tries: list[Sequence[Change]] = []

        async def keep(changes: Sequence[Change]) -> None:
            tries.append(changes)
            if len(tries) == 1:
                raise WeFailed("the database is away")

        keeping = asyncio.create_task(duty.hand_over(keep))
        await until_empty(redis)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert tries[0] == tries[1]
        assert [change.state for change in tries[1]] == [State.READY]


@pytest.mark.parametrize("sign_in", [False, True])
def test_no_sequence_of_events_makes_a_ghost(redis_url: str, sign_in: bool) -> None:
    with BlockingRedis.from_url(f"{redis_url}?db=3", decode_responses=True) as redis:

        @settings(max_examples=150, deadline=None)
        @given(st.lists(EVENTS, min_size=5, max_size=60), st.sampled_from((0.0, 30.0)))
        def play(events: list[Callable[[Machine], None]], wrap_up: float) -> None:
            machine = Machine(redis, PlainRules(sign_in_required=sign_in, wrap_up=wrap_up))
            for event in events:
                event(machine)
                machine.check()
            machine.everybody_can_work_again()

        play()


async def test_two_hundred_callers_fifty_consultants_and_states_that_change_at_random(
    redis: Redis,
) -> None:
    rules = PlainRules(sign_in_required=True, wrap_up=0.01)
    extensions = [str(200 + number) for number in range(50)]
    talking: set[str] = set()
    served = 0

    async def caller(desk: Desk, number: int) -> None:
        nonlocal served
        await asyncio.sleep(random.uniform(0, 0.5))
        async with desk.place(f"call-{number}", random.choice(("kk", "ru"))) as place:
            while True:
                offered = await place.offer(60)
                assert offered is not None
                place.rings()
                await asyncio.sleep(random.uniform(0, 0.02))
                if place.consultant is None:  # the consultant left meanwhile
                    await place.give_back(unanswered=True)
                    continue
                assert offered.extension not in talking
                talking.add(offered.extension)
                place.answered()
                await asyncio.sleep(random.uniform(0, 0.02))
                talking.remove(offered.extension)
                served += 1
                return

    async def restless(duty: DutyDesk) -> None:
        while True:
            wanted = random.choice((State.READY, State.READY, State.PAUSED, State.SIGNED_OUT))
            try:
                await duty.ask(random.choice(extensions), wanted, by="self", reason="lunch")
            except IllegalMove:
                continue
            await asyncio.sleep(0.001)

    async with (
        at_desk(redis, rules, *extensions) as (one, duty),
        second_desk(redis, rules, extensions) as two,
    ):
        changing = asyncio.create_task(restless(duty))
        await asyncio.gather(*(caller((one, two)[n % 2], n) for n in range(200)))
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        for extension in extensions:
            await duty.ask(extension, State.READY, by="self")
        for each in await duty.everyone():
            assert each.state not in ENGAGED
        async with asyncio.timeout(PATIENCE):
            while await redis.zcard("desk:idle") < len(extensions):
                await asyncio.sleep(0.01)
    assert served == 200


@asynccontextmanager
async def second_desk(
    redis: Redis, rules: PlainRules, extensions: list[str]
) -> AsyncIterator[Desk]:
    """The desk of a second controller."""
    desk = Desk(redis, "line-2", rules)
    running = asyncio.create_task(desk.run())
    await desk.tell_roster([consultant(extension) for extension in extensions])
    await desk._do("tick", "line-2")
    try:
        yield desk
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
