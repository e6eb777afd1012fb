"""A disk that is nearly full is one alert, again where Redis lost it, and one log line."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from callcenter.platform.monitoring.alerts import OPEN
from callcenter.recordings.sealing.spool import DiskUsage
from callcenter.telephony.controller import disk_monitor
from callcenter.telephony.controller.active_calls import ActiveCalls
from callcenter.telephony.controller.disk_monitor import DiskMonitor
from tests.polling import LIMIT, until


async def test_a_disk_that_stays_full_alerts_an_emptied_redis(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_monitor, "disk_usage", lambda _: DiskUsage(100, used=85, free=15))
    monkeypatch.setattr(disk_monitor, "has_room", lambda _: True)
    monkeypatch.setattr(disk_monitor, "IDLE_INTERVAL", 0.05)
    monkeypatch.setattr(disk_monitor, "REDIS_TIMEOUT", LIMIT)

    async def is_open() -> bool:
        return await redis.hkeys(OPEN) == [f"disk:{tmp_path.name}:0.8"]

    running = asyncio.create_task(DiskMonitor(redis, tmp_path, (), ActiveCalls()).run())
    await until(is_open, "supervisors are alerted")
    await redis.flushdb()
    await until(is_open, "they are alerted again")
    running.cancel()
    await asyncio.wait((running,))


async def test_a_redis_that_is_down_fills_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[Path] = []

    def look(spool: Path) -> bool:
        looks.append(spool)
        return True

    monkeypatch.setattr(disk_monitor, "disk_usage", lambda _: DiskUsage(100, used=85, free=15))
    monkeypatch.setattr(disk_monitor, "has_room", look)
    monkeypatch.setattr(disk_monitor, "IDLE_INTERVAL", 0.05)
    stopped = Redis(unix_socket_path="/nowhere/redis.sock")
    running = asyncio.create_task(DiskMonitor(stopped, tmp_path, (), ActiveCalls()).run())
    await until(lambda: len(looks) > 3, "the disk is looked at again and again")
    running.cancel()
    await asyncio.wait((running,))
    assert caplog.text.count("alert not raised") == 1
    await stopped.aclose()
