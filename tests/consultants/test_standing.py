"""How waiting calls stand at the desk: place, expected wait, and who is there at all."""

import json
import logging
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from callcenter.consultants.alarms import KEPT
from callcenter.consultants.desk import Desk, Place
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.script import DeskClosed, PlainRules
from callcenter.consultants.standing import URGENT_AGAIN, Queue, expected_wait
from callcenter.consultants.states import State
from callcenter.live.figures import Alarmed
from callcenter.live.wording import Wording
from callcenter.web.words import Words
from tests.consultants.desks import AWAY, FREE, TALKING, consultant, desk


async def queued(places: AsyncExitStack, opened: Desk, call: str, language: str) -> Place:
    place = await places.enter_async_context(opened.place(call, language))
    assert await place.offer(0.05) is None
    return place


async def test_the_place_counts_only_those_who_wait_for_the_same_language(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened, AsyncExitStack() as places:
        for number, language in enumerate(("kk", "ru", "kk", "ru", "ru")):
            await queued(places, opened, f"call-{number}", language)
        stand = [(await Queue(redis).standing(f"call-{n}", "ru")).position for n in (1, 3, 4)]
        assert stand == [1, 2, 3]
        assert (await Queue(redis).standing("call-2", "kk")).position == 2
        assert (await Queue(redis).standing("nobody", "kk")).position == 0


async def test_an_urgent_caller_stands_before_those_who_came_earlier(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened, AsyncExitStack() as places:
        await queued(places, opened, "earlier", "kk")
        async with opened.place("urgent", "kk", urgent=True) as place:
            assert await place.offer(0.05) is None
            assert (await Queue(redis).standing("urgent", "kk")).position == 1
            assert (await Queue(redis).standing("earlier", "kk")).position == 2


async def test_callers_of_a_controller_that_died_are_not_counted(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened, AsyncExitStack() as places:
        await opened._do("wait", "orphan", "line-dead", "kk", "1", "1", "kk", "")
        await queued(places, opened, "call", "kk")
        assert (await Queue(redis).standing("call", "kk")).position == 2
        await redis.zadd("desk:asked", {"orphan": time.time() - 1})  # as five seconds later
        await opened._do("tick", "line-1")
        assert (await Queue(redis).standing("call", "kk")).position == 1


async def test_whoever_has_no_telephone_is_not_signed_in(redis: Redis) -> None:
    crew = (consultant(201, "kk"), consultant(202, "ru"), consultant(203), consultant(204, "kk"))
    async with desk(redis, "line-1", *crew) as opened:
        nobody = await Queue(redis).standing("call", "kk")
        assert (nobody.speakers, set(nobody.other_languages)) == (0, set())
        await opened.tell_devices({"201": AWAY, "202": TALKING}, 1)
        only_russian = await Queue(redis).standing("call", "kk")
        assert (only_russian.speakers, set(only_russian.other_languages)) == (0, {"ru"})
        await opened.tell_devices({"203": TALKING, "204": FREE}, 1)
        both = await Queue(redis).standing("call", "kk")
        assert (both.speakers, set(both.other_languages)) == (2, {"ru"})


async def test_a_desk_that_knows_nothing_has_nobody_signed_in(redis: Redis) -> None:
    standing = await Queue(redis).standing("call", "kk")
    assert (standing.position, standing.expected_wait, standing.speakers) == (0, None, 0)


async def test_what_conversations_take_foretells_the_wait(redis: Redis) -> None:
    async with desk(redis, "line-1", consultant(201)) as opened, AsyncExitStack() as places:
        await opened.tell_devices({"201": TALKING}, 1)
        for number in range(2):
            await queued(places, opened, f"call-{number}", "kk")
        assert (await Queue(redis).standing("call-1", "kk")).expected_wait is None
        await redis.set("desk:handling", 120)
        assert (await Queue(redis).standing("call-1", "kk")).expected_wait == 240


async def test_who_is_on_a_pause_shortens_no_wait_but_is_there(redis: Redis) -> None:
    async with (
        desk(redis, "line-1", consultant(201), consultant(202)) as opened,
        AsyncExitStack() as places,
    ):
        await opened.tell_devices({"201": TALKING, "202": FREE}, 1)
        await redis.set("desk:handling", 120)
        duty = DutyDesk(redis, PlainRules())
        await duty.ask("202", State.PAUSED, by="self", reason="lunch")
        await queued(places, opened, "call", "kk")
        standing = await Queue(redis).standing("call", "kk")
        assert (standing.expected_wait, standing.speakers) == (120, 2)
        await duty.ask("201", State.PAUSED, by="self", reason="lunch")
        standing = await Queue(redis).standing("call", "kk")
        assert (standing.expected_wait, standing.speakers) == (None, 2)


async def test_a_redis_that_does_not_answer_is_given_up_soon(redis: Redis) -> None:
    await redis.client_pause(400, all=True)
    with pytest.raises(DeskClosed, match="cannot look at the queue: no answer"):
        await Queue(redis).standing("call", "kk")


async def test_an_overdue_callback_alarms_once_whoever_sees_it(redis: Redis) -> None:
    promises = uuid4(), uuid4()
    for _ in range(2):
        for promise_id in promises:
            await Queue(redis).callback_overdue(promise_id, "ru")
    kept = [json.loads(alarm) for alarm in await redis.lrange("desk:alarms", 0, -1)]
    assert [(alarm["kind"], alarm["language"]) for alarm in kept] == [
        ("callback_overdue", "ru")
    ] * 2


async def test_an_urgent_caller_who_waits_alarms_once_in_five_minutes(redis: Redis) -> None:
    for call in ("one", "two", "one"):
        await Queue(redis).urgent_waits(call, "kk")
    kept = await redis.lrange("desk:alarms", 0, -1)
    assert len(kept) == 2
    assert 0 < await redis.ttl("desk:alarmed:urgent:one") <= URGENT_AGAIN
    told = Wording(Words("ru")).alarm(Alarmed(**json.loads(kept[0])))
    assert "не может говорить и ждёт консультанта, язык: Казахский" in told


async def test_an_overdue_message_alarms_once_in_words_of_its_own(redis: Redis) -> None:
    promise_id = uuid4()
    for _ in range(2):
        await Queue(redis).message_overdue(promise_id, "kk")
    (kept,) = await redis.lrange("desk:alarms", 0, -1)
    told = Wording(Words("ru")).alarm(Alarmed(**json.loads(kept)))
    assert "Сообщение никто не прослушал за полчаса, язык: Казахский" in told


async def test_alarms_are_kept_with_time_and_kind_and_counted_for_ever(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(KEPT + 3):
        await Queue(redis).nobody_signed_in(f"call-{number}", "kk")
    kept = [json.loads(alarm) for alarm in await redis.lrange("desk:alarms", 0, -1)]
    assert len(kept) == KEPT
    assert {(alarm["kind"], alarm["language"]) for alarm in kept} == {("nobody_signed_in", "kk")}
    assert kept[0]["at"] >= kept[-1]["at"] > 1.7e9
    assert await redis.hgetall("desk:alarm_counts") == {"nobody_signed_in": str(KEPT + 3)}
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@given(st.integers(1, 500), st.floats(1, 3600), st.integers(1, 100))
def test_the_wait_grows_with_the_place_and_shrinks_with_help(
    position: int, handling: float, speakers: int
) -> None:
    expected = expected_wait(position, handling, speakers)
    behind = expected_wait(position + 1, handling, speakers)
    helped = expected_wait(position, handling, speakers + 1)
    assert expected is not None
    assert behind is not None
    assert helped is not None
    assert helped < expected < behind


@given(st.integers(0, 500), st.none() | st.floats(1, 3600), st.integers(0, 100))
def test_a_wait_is_foretold_only_when_all_is_known(
    position: int, handling: float | None, speakers: int
) -> None:
    known = handling is not None and position > 0 and speakers > 0
    assert (expected_wait(position, handling, speakers) is not None) == known
