"""What the tests of the storage share."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.launcher.port_check import with_free_ports
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.telephony.reconciliation import jobs
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.storage.recorded import AUDIO, BUSY, KILLED, LEFT_A_TALK, REDIRECTED, TALKED, raw


@pytest.fixture
async def ours(redis: Redis, settings: Settings) -> AsyncIterator[Redis]:
    """A client of the worker, with its rights."""
    async with open_redis(as_redis_user(settings, RedisUser.WORKER)) as client:
        yield client


@pytest.fixture
def tools(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> WorkerResources:
    """A worker's tools with the recorded spool, and a switch that does not answer."""
    monkeypatch.setattr(jobs, "SWITCH_LIMIT", 0.1)
    here = with_free_ports(settings)
    cel_file_of(here).parent.mkdir(parents=True)
    here.spool.mkdir(parents=True)
    for call_id in (TALKED, LEFT_A_TALK, KILLED):
        raw(here, call_id).write_bytes(AUDIO)
    for call_id in (REDIRECTED, BUSY):
        raw(here, call_id).write_bytes(b"")
    return WorkerResources(here, engine)
