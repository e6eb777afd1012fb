"""Queue position, estimated wait and signed-in consultants, on a real Redis."""

import json
import logging
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import DistributorUnavailable, PlainRules
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.i18n import Translator
from callcenter.platform.monitoring.alerts import MAX_ALERTS
from callcenter.telephony.acd.distributor import RedisCallDistributor, RedisQueuePlace
from callcenter.telephony.acd.queue_position import (
    URGENT_ALERT_INTERVAL,
    RedisQueueMonitor,
    expected_wait,
)
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.store import read_open_alerts
from tests.consultants.distributors import (
    FREE,
    TALKING,
    UNREGISTERED,
    consultant,
    running_distributor,
)


@pytest.fixture
def monitor(redis: Redis, patient: None) -> RedisQueueMonitor:
    return RedisQueueMonitor(redis)


async def queued(
    places: AsyncExitStack, distributor: RedisCallDistributor, call: str, language: str
) -> RedisQueuePlace:
    place = await places.enter_async_context(distributor.place(call, language))
    assert await place.wait_for_offer(0.05) is None
    return place


async def test_the_place_counts_callers_of_the_same_language(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    async with (
        running_distributor(redis, "line-1", consultant(201)) as distributor,
        AsyncExitStack() as places,
    ):
        for number, language in enumerate(("kk", "ru", "kk", "ru", "ru")):
            await queued(places, distributor, f"call-{number}", language)
        stand = [(await monitor.position_of(f"call-{n}", "ru")).position for n in (1, 3, 4)]
        assert stand == [1, 2, 3]
        assert (await monitor.position_of("call-2", "kk")).position == 2
        assert (await monitor.position_of("nobody", "kk")).position == 0


async def test_an_urgent_caller_stands_before_those_who_came_earlier(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    async with (
        running_distributor(redis, "line-1", consultant(201)) as distributor,
        AsyncExitStack() as places,
    ):
        await queued(places, distributor, "earlier", "kk")
        async with distributor.place("urgent", "kk", urgent=True) as place:
            assert await place.wait_for_offer(0.05) is None
            assert (await monitor.position_of("urgent", "kk")).position == 1
            assert (await monitor.position_of("earlier", "kk")).position == 2


async def test_callers_of_a_controller_that_died_are_not_counted(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    async with (
        running_distributor(redis, "line-1", consultant(201)) as distributor,
        AsyncExitStack() as places,
    ):
        await distributor.script("wait", "orphan", "line-dead", "kk", "1", "1", "kk", "")
        await queued(places, distributor, "call", "kk")
        assert (await monitor.position_of("call", "kk")).position == 2
        await redis.zadd("desk:asked", {"orphan": time.time() - 1})  # as five seconds later
        await distributor.script("tick", "line-1")
        assert (await monitor.position_of("call", "kk")).position == 1


async def test_a_consultant_without_telephone_is_not_signed_in(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    crew = (consultant(201, "kk"), consultant(202, "ru"), consultant(203), consultant(204, "kk"))
    async with running_distributor(redis, "line-1", *crew) as distributor:
        nobody = await monitor.position_of("call", "kk")
        assert (nobody.speakers, set(nobody.other_languages)) == (0, set())
        await distributor.update_devices({"201": UNREGISTERED, "202": TALKING}, 1)
        only_russian = await monitor.position_of("call", "kk")
        assert (only_russian.speakers, set(only_russian.other_languages)) == (0, {"ru"})
        await distributor.update_devices({"203": TALKING, "204": FREE}, 1)
        both = await monitor.position_of("call", "kk")
        assert (both.speakers, set(both.other_languages)) == (2, {"ru"})


async def test_a_distributor_that_knows_nothing_has_nobody_signed_in(
    monitor: RedisQueueMonitor,
) -> None:
    queue_position = await monitor.position_of("call", "kk")
    assert (queue_position.position, queue_position.expected_wait, queue_position.speakers) == (
        0,
        None,
        0,
    )


async def test_what_conversations_take_foretells_the_wait(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    async with (
        running_distributor(redis, "line-1", consultant(201)) as distributor,
        AsyncExitStack() as places,
    ):
        await distributor.update_devices({"201": TALKING}, 1)
        for number in range(2):
            await queued(places, distributor, f"call-{number}", "kk")
        assert (await monitor.position_of("call-1", "kk")).expected_wait is None
        await redis.set("desk:handling", 120)
        assert (await monitor.position_of("call-1", "kk")).expected_wait == 240


async def test_a_paused_consultant_shortens_no_wait_but_is_there(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    async with (
        running_distributor(redis, "line-1", consultant(201), consultant(202)) as distributor,
        AsyncExitStack() as places,
    ):
        await distributor.update_devices({"201": TALKING, "202": FREE}, 1)
        await redis.set("desk:handling", 120)
        presence = PresenceService(redis, PlainRules())
        await presence.ask("202", PresenceState.PAUSED, by="self", reason="lunch")
        await queued(places, distributor, "call", "kk")
        queue_position = await monitor.position_of("call", "kk")
        assert (queue_position.expected_wait, queue_position.speakers) == (120, 2)
        await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
        queue_position = await monitor.position_of("call", "kk")
        assert (queue_position.expected_wait, queue_position.speakers) == (None, 2)


async def test_a_redis_that_does_not_answer_is_given_up_soon(redis: Redis) -> None:
    await redis.client_pause(400, all=True)
    with pytest.raises(DistributorUnavailable, match="cannot look at the queue: no answer"):
        await RedisQueueMonitor(redis).position_of("call", "kk")


async def test_an_overdue_callback_alerts_once_however_many_see_it(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    promises = uuid4(), uuid4()
    for _ in range(2):
        for promise_id in promises:
            await monitor.alert_callback_overdue(promise_id, "ru")
    alerts = [json.loads(alert) for alert in await redis.lrange("desk:alarms", 0, -1)]
    assert [(alert["kind"], alert["language"]) for alert in alerts] == [
        ("callback_overdue", "ru")
    ] * 2


async def test_an_urgent_caller_who_waits_alerts_once_in_five_minutes(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    answers = [await monitor.alert_urgent_waiting(call, "kk") for call in ("one", "two", "one")]
    assert answers == [True, True, False]
    alerts = await redis.lrange("desk:alarms", 0, -1)
    assert len(alerts) == 2
    assert 0 < await redis.ttl("desk:alarmed:urgent_waits:one") <= URGENT_ALERT_INTERVAL
    [group] = await read_open_alerts(redis)
    labels = WallboardLabels(Translator("ru")).alert(group)
    assert "не может говорить и ждёт консультанта, язык: Казахский" in labels


async def test_an_overdue_message_alerts_once_in_words_of_its_own(
    redis: Redis, monitor: RedisQueueMonitor
) -> None:
    promise_id = uuid4()
    for _ in range(2):
        await monitor.alert_voicemail_overdue(promise_id, "kk")
    assert await redis.llen("desk:alarms") == 1
    [group] = await read_open_alerts(redis)
    labels = WallboardLabels(Translator("ru")).alert(group)
    assert "Сообщение никто не прослушал за полчаса, язык: Казахский" in labels


async def test_calls_that_nobody_could_restore_are_one_critical_alert(
    redis: Redis, caplog: pytest.LogCaptureFixture, monitor: RedisQueueMonitor
) -> None:
    for call in ("one", "two"):
        await monitor.alert_call_not_restored(call)
    assert [each.levelno for each in caplog.records] == 2 * [logging.CRITICAL]
    [group] = await read_open_alerts(redis)
    labels = WallboardLabels(Translator("ru")).alert(group)
    assert "не удалось продолжить после сбоя, его обслуживает резервная система" in labels


async def test_alerts_keep_time_and_kind_and_are_counted(
    redis: Redis, caplog: pytest.LogCaptureFixture, monitor: RedisQueueMonitor
) -> None:
    for number in range(MAX_ALERTS + 3):
        await monitor.alert_nobody_signed_in(f"call-{number}", "kk")
    alerts = [json.loads(alert) for alert in await redis.lrange("desk:alarms", 0, -1)]
    assert len(alerts) == MAX_ALERTS
    assert {(alert["kind"], alert["language"]) for alert in alerts} == {("nobody_signed_in", "kk")}
    assert alerts[0]["at"] >= alerts[-1]["at"] > 1.7e9
    assert await redis.hgetall("desk:alarm_counts") == {"nobody_signed_in": str(MAX_ALERTS + 3)}
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
def test_a_wait_is_foretold_only_when_all_figures_exist(
    position: int, handling: float | None, speakers: int
) -> None:
    is_predictable = handling is not None and position > 0 and speakers > 0
    assert (expected_wait(position, handling, speakers) is not None) == is_predictable
