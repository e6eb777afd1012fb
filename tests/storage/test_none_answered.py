"""Calls that nobody answers are noticed (field complaint 6)."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.outbound_calls import first_seq
from callcenter.appeals.calls.store import AppealUpdate, EventRow
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work, within
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.wallboard.jobs import REPEAT_AFTER, alert_of_unanswered
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.store import read_open_alerts
from tests.appeals import opened

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    return WorkerResources(settings, engine)


async def called(
    tools: WorkerResources,
    language: str,
    at: datetime,
    ended: timedelta | None,
    moments: Mapping[int, tuple[str, timedelta]],
) -> None:
    """A call, and its moments by their number, so long after it came in."""
    async with unit_of_work(tools.engine) as connection:
        appeal_id = await opened(connection, at)
        await appeals.change_appeals(
            within(connection), [AppealUpdate(appeal_id, language=language)]
        )
        await appeals.add_events(
            connection,
            [EventRow(appeal_id, n, at + after, kind, {}) for n, (kind, after) in moments.items()],
        )
        if ended is not None:
            await appeals.close_appeal(
                connection, appeal_id=appeal_id, outcome="left_waiting", ended_at=at + ended
            )


async def alerts(tools: WorkerResources, redis: Redis) -> list[tuple[str, str]]:
    await redis.delete("desk:alarms")
    await alert_of_unanswered(tools, redis, NOW)
    reported = [json.loads(each) for each in await redis.lrange("desk:alarms", 0, -1)]
    return [(each["kind"], each["language"]) for each in reported]


WAITS = {1: ("waiting", timedelta())}
TALKS = {1: ("waiting", timedelta()), 2: ("connected", MINUTE)}


async def test_callers_who_waited_while_none_was_answered_alert_the_supervisors(
    tools: WorkerResources, redis: Redis
) -> None:
    await called(tools, "ru", NOW - 5 * MINUTE, 2 * MINUTE, WAITS)
    await called(tools, "kk", NOW - 5 * MINUTE, 2 * MINUTE, WAITS)
    await called(tools, "kk", NOW - 50 * MINUTE, 5 * MINUTE, TALKS)
    assert await alerts(tools, redis) == [("none_answered", "ru")]
    assert await alerts(tools, redis) == []  # told already
    assert 0 < await redis.ttl("desk:alarmed:none_answered:ru") <= REPEAT_AFTER
    [group] = await read_open_alerts(redis)
    assert WallboardLabels(Translator("en")).alert(group) == (
        "Callers waited and none was answered for long, their language: Russian"
    )


@pytest.mark.parametrize(
    ("since", "ended", "moments", "is_reported"),
    [
        (2 * MINUTE, None, WAITS, True),  # waits yet
        (timedelta(seconds=5), None, WAITS, False),  # has only begun to
        (5 * MINUTE, timedelta(seconds=5), WAITS, False),  # hung up at once
        (5 * MINUTE, 2 * MINUTE, {}, False),  # never asked for a consultant
        (2 * HOUR, 2 * MINUTE, WAITS, False),  # before the window
        (5 * MINUTE, 2 * MINUTE, TALKS, False),
        (
            30 * MINUTE,
            2 * MINUTE,
            WAITS | {first_seq(1): ("connected", 10 * MINUTE)},  # called back later
            True,
        ),
    ],
)
async def test_who_counts_as_still_waiting(
    tools: WorkerResources,
    redis: Redis,
    since: timedelta,
    ended: timedelta | None,
    moments: Mapping[int, tuple[str, timedelta]],
    is_reported: bool,
) -> None:
    await called(tools, "ru", NOW - since, ended, moments)
    assert bool(await alerts(tools, redis)) == is_reported


async def test_the_center_sets_the_window_and_may_do_without(
    tools: WorkerResources, redis: Redis
) -> None:
    await called(tools, "ru", NOW - 2 * HOUR, 2 * MINUTE, WAITS)
    for minutes, reported in ((0, []), (60, []), (180, [("none_answered", "ru")])):
        changed = tools.settings.model_copy(update={"unanswered_window": minutes})
        assert await alerts(WorkerResources(changed, tools.engine), redis) == reported
