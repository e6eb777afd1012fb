"""Jobs of identity: alerts of attacks on the sign-in, and counts of refusals."""

from datetime import UTC, datetime

from procrastinate import JobContext
from redis.asyncio import Redis

from callcenter.platform.identity import refusals
from callcenter.platform.identity.alerts import SIGN_IN_ATTACKED
from callcenter.platform.monitoring.alerts import raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.platform.storage.redis import open_redis

RAISE_ATTACK = "identity.raise_attack"
ALERT_INTERVAL = 3600  # seconds in which one alert is enough


@jobs.task(name=RAISE_ATTACK, pass_context=True)
async def raise_attack(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Run `alert_of_attack`, when tries locked a name for strangers, or an address."""
    async with open_redis(tools_of(context).settings) as redis:
        await alert_of_attack(redis)


async def alert_of_attack(redis: Redis) -> None:
    """Alert supervisors, once an hour at most. Raises RedisError."""
    await raise_alert_once(redis, SIGN_IN_ATTACKED, "", "sign_in_attacked", within=ALERT_INTERVAL)


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="identity.count_refusals", pass_context=True)
async def count_refusals(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Run `record_ended_counts`."""
    async with unit_of_work(tools_of(context).engine) as connection:
        await refusals.record_ended_counts(connection, datetime.now(UTC))
