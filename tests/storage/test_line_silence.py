"""A line without calls is noticed by the same hours of the weeks before."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.wallboard.jobs import alert_of_silence
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.store import read_open_alerts
from tests.appeals import opened

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LAST = NOW - timedelta(hours=1)
MINUTE, WEEK = timedelta(minutes=1), timedelta(weeks=1)
ABOUT = "line_silent:24.11.2026, 16:00"


@pytest.fixture
def worker(settings: Settings, worker_engine: AsyncEngine) -> WorkerResources:
    """A worker, with its rights."""
    return WorkerResources(settings, worker_engine)


async def called(engine: AsyncEngine, *moments: datetime) -> None:
    async with unit_of_work(engine) as connection:
        for at in moments:
            await opened(connection, at)


async def called_in_earlier_weeks(engine: AsyncEngine, *, weeks: int, calls: int) -> None:
    """Calls of the hour after that of the last call now, and one before it."""
    for week in range(1, weeks + 1):
        began = LAST - week * WEEK
        spread = [began + (number + 1) * timedelta(hours=1) / calls for number in range(calls)]
        await called(engine, began - MINUTE, *spread)
    await called(engine, LAST)


async def find_open(worker: WorkerResources, ours: Redis, now: datetime) -> list[str]:
    """The open alerts after a look."""
    await alert_of_silence(worker, ours, now)
    return [str(each) for each in await ours.hkeys(OPEN)]


async def test_a_silent_line_is_one_alert_until_somebody_calls(
    worker: WorkerResources, engine: AsyncEngine, ours: Redis
) -> None:
    await called_in_earlier_weeks(engine, weeks=4, calls=20)
    assert await find_open(worker, ours, NOW - MINUTE) == []  # the twentieth had not come either
    for later in range(3):
        assert await find_open(worker, ours, NOW + later * MINUTE) == [ABOUT]
    [group] = await read_open_alerts(ours)
    assert group.is_critical
    assert WallboardLabels(Translator("en")).alert(group) == (
        "No call has come for much longer than usual at this hour: dial 111 from outside, and "
        "tell the administrator if nobody answers. The last call: 24.11.2026, 16:00"
    )
    assert await ours.hgetall("desk:alarm_counts") == {"line_silent": "1"}
    await called(engine, NOW + 3 * MINUTE)
    assert await find_open(worker, ours, NOW + 4 * MINUTE) == []


@pytest.mark.parametrize(("weeks", "calls"), [(3, 20), (4, 19)], ids=["weeks", "calls"])
async def test_too_few_weeks_or_calls_say_nothing(
    worker: WorkerResources, engine: AsyncEngine, ours: Redis, weeks: int, calls: int
) -> None:
    await called_in_earlier_weeks(engine, weeks=weeks, calls=calls)
    assert await find_open(worker, ours, NOW) == []


async def test_a_register_without_calls_says_nothing(worker: WorkerResources, ours: Redis) -> None:
    assert await find_open(worker, ours, NOW) == []


async def test_a_call_of_a_wrong_clock_hides_no_silence(
    worker: WorkerResources, engine: AsyncEngine, ours: Redis
) -> None:
    await called_in_earlier_weeks(engine, weeks=4, calls=20)
    await called(engine, NOW + timedelta(days=365))
    assert await find_open(worker, ours, NOW) == [ABOUT]


async def test_a_journal_may_have_a_call_while_it_grows(
    worker: WorkerResources, engine: AsyncEngine, ours: Redis
) -> None:
    await called_in_earlier_weeks(engine, weeks=4, calls=20)
    spool = worker.settings.journals / "line-1.waits.journal"
    spool.parent.mkdir(parents=True)
    spool.touch()
    os.utime(spool, ((NOW - MINUTE).timestamp(),) * 2)
    assert await find_open(worker, ours, NOW) == []
    os.utime(spool, ((LAST - MINUTE).timestamp(),) * 2)  # nobody can store it any more
    assert await find_open(worker, ours, NOW) == [ABOUT]
