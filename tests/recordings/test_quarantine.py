"""Quarantine and backlog of recordings: alerts, their intervals and their end."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store
from callcenter.recordings.sealing import quarantine, quarantine_store
from callcenter.recordings.sealing.worker import LONGER, SHORTER, SealingWorker
from callcenter.worker import recording_alerts
from tests.recordings.test_sealing_worker import START, keep, recorded, row_of

MINUTE = timedelta(minutes=1)
OPERATOR = Actor(None, command="olzhas")


async def test_what_is_quarantined_is_alerted_of_once_a_day(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    settings.spool.mkdir(parents=True)
    tools, day = WorkerResources(settings, engine), timedelta(days=1)

    async def alerted(now: datetime) -> list[str]:
        await redis.delete("desk:alarms")
        await recording_alerts.alert_quarantine(tools, redis, now)
        return [json.loads(each)["kind"] for each in await redis.lrange("desk:alarms", 0, -1)]

    await recorded(tools)  # of 64 s; its conversation ended as it began
    await keep(tools)
    assert await alerted(START + day / 2) == []  # which may yet be put right
    assert await alerted(START + 2 * day) == ["recording_aside"]
    assert await alerted(START + 2 * day) == []
    for content in (b"", b"\0" * 3):
        await recorded(tools, content)
    await keep(tools)
    assert await alerted(START + day / 2) == ["recording_aside"]
    assert await alerted(START + 2 * day) == []
    foreign = settings.spool / "foreign.raw"
    foreign.write_bytes(bytes(8000))
    assert await alerted(datetime.now(UTC)) == []  # somebody may yet say whose it is
    hour_ago = time.time() - 3600
    os.utime(foreign, (hour_ago, hour_ago))
    assert await alerted(datetime.now(UTC)) == ["recording_aside"]
    assert await alerted(datetime.now(UTC)) == []
    assert len(list(settings.spool.glob("*.raw"))) == 3


async def test_quarantined_recordings_alert_daily_until_dealt_with(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    settings.spool.mkdir(parents=True)
    tools, day = WorkerResources(settings, engine), timedelta(days=1)
    failed, other = await recorded(tools, b""), await recorded(tools)
    await keep(tools)

    async def alerted(now: datetime) -> int:
        """How often within the day that begins then."""
        await redis.flushdb()  # what was told of is forgotten after a day
        for _ in range(3):
            await recording_alerts.alert_quarantine(tools, redis, now)
        ttls = [await redis.ttl(each) async for each in redis.scan_iter("desk:alarmed:*")]
        assert all(0 < ttl <= day.total_seconds() for ttl in ttls)
        return int(await redis.llen("desk:alarms"))

    async def deal_with(recording_id: UUID, reason: str) -> None:
        async with unit_of_work(engine) as connection:
            await quarantine.resolve(connection, OPERATOR, {recording_id}, reason)

    for days in (2, 4, 400):
        assert await alerted(START + days * day) == 1
    assert {each.id for each in await quarantined(engine)} == {failed, other}
    with pytest.raises(InvalidRequest, match="what became of them"):
        await deal_with(failed, " ")
    await deal_with(failed, "the disk was  pulled out")
    assert [each.id for each in await quarantined(engine)] == [other]
    assert await alerted(START + 400 * day) == 1
    await deal_with(other, "a clock was wrong")
    with pytest.raises(InvalidRequest, match=f"not in quarantine: {other}"):
        await deal_with(other, "once more")
    assert await alerted(START + 400 * day) == 0
    assert (await row_of(tools, failed)).state == "failed"
    assert (settings.spool / f"{failed}.raw").exists()
    query = text("SELECT who, action, subject, detail ->> 'reason' FROM audit_entry ORDER BY id")
    async with unit_of_work(engine) as connection:
        entries = [tuple(row) for row in await connection.execute(query)]
    dealt = ("system:olzhas", "command:recording:dealt_with")
    assert entries == [
        (*dealt, f"recording:{failed}", "the disk was pulled out"),
        (*dealt, f"recording:{other}", "a clock was wrong"),
    ]


async def test_a_clock_that_was_put_back_hides_no_recording(
    settings: Settings, engine: AsyncEngine
) -> None:
    """It ends before it began: of the two threads the one for short ones takes it."""
    settings.spool.mkdir(parents=True)
    tools = WorkerResources(settings, engine)
    recording_id = await recorded(tools, close=False)
    async with unit_of_work(engine) as connection:
        await store.close(connection, recording_id=recording_id, ended_at=START - 90 * MINUTE)
    worker = SealingWorker(settings, engine)
    assert not await worker.seal_closed(LONGER)
    assert await worker.seal_closed(SHORTER)
    assert (await row_of(tools, recording_id)).state == "stored"
    assert [each.id for each in await quarantined(engine)] == [recording_id]


async def test_a_recording_dated_in_the_future_is_alerted_of(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    """It ended before the clock was put back."""
    settings.spool.mkdir(parents=True)
    tools = WorkerResources(settings, engine)
    await recorded(tools)
    for before, alerts in ((MINUTE, 0), (60 * MINUTE, 1)):
        await recording_alerts.alert_backlog(tools, redis, START - before)
        assert await redis.llen("desk:alarms") == alerts


async def quarantined(engine: AsyncEngine) -> list[quarantine_store.QuarantinedRecording]:
    async with unit_of_work(engine) as connection:
        return await quarantine_store.list_quarantined(connection)
