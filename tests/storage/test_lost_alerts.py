"""What was not recorded alerts again in a Redis that was emptied, unless it was acknowledged."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealUpdate
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import unit_of_work, within
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.telephony.acd.alerts import NOT_RECORDED
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.wallboard.alert_actions import acknowledge_alert
from callcenter.wallboard.jobs import raise_lost_alerts
from callcenter.wallboard.store import read_open_alerts
from tests.appeals import opened

HOUR = timedelta(hours=1)


async def failed(engine: AsyncEngine, language: str, at: datetime) -> None:
    """A conversation in this language, whose recording was not confirmed then."""
    async with unit_of_work(engine) as connection:
        appeal_id = await opened(connection, at)
        change = AppealUpdate(appeal_id, language=language)
        await appeals.change_appeals(within(connection), [change])
        for reason in ("no start", "no stop"):
            await appeals.append_event(
                connection,
                appeal_id=appeal_id,
                at=at,
                kind=CallEvent.RECORDING_FAILED,
                detail={"recording": str(appeal_id), "reason": reason},
            )


async def open_alerts(redis: Redis) -> list[tuple[str, str, int]]:
    groups = await read_open_alerts(redis)
    return sorted((each.kind, each.language, len(each.alerts)) for each in groups)


async def test_an_emptied_redis_has_what_nobody_acknowledged(
    settings: Settings, engine: AsyncEngine, worker_engine: AsyncEngine, redis: Redis
) -> None:
    tools, now = WorkerResources(settings, worker_engine), datetime.now(UTC)
    kk, ru = ((NOT_RECORDED.key, language, 1) for language in ("kk", "ru"))
    await failed(engine, "kk", now - HOUR)
    await failed(engine, "ru", now - HOUR)
    await failed(engine, "ru", now - 25 * HOUR)
    senior = Actor(User(uuid4(), "anna", "", Role.SENIOR, True, now))
    async with open_redis(as_redis_user(settings, RedisUser.WORKER)) as ours:
        await raise_lost_alerts(tools, ours, now)
        assert await open_alerts(redis) == [kk, ru]
        (group,) = [each for each in await read_open_alerts(redis) if each.language == "ru"]
        await acknowledge_alert(engine, redis, senior, group.id, max(group.alerts.values()))
        await raise_lost_alerts(tools, ours, now)
        assert await open_alerts(redis) == [kk]
        await redis.flushdb()
        await raise_lost_alerts(tools, ours, now)
        assert await open_alerts(redis) == [kk]
        await failed(engine, "ru", datetime.now(UTC))
        await redis.flushdb()
        await raise_lost_alerts(tools, ours, now)
        assert await open_alerts(redis) == [kk, ru]
