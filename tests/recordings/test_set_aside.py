"""What was set aside, and what waits: who is alarmed, how often, and until when."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.errors import AskedWrongly
from callcenter.recordings import set_aside, store
from callcenter.recordings.keeping import LONGER, SHORTER, Keeper
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.worker import waiting_recordings
from tests.recordings.test_keeping import (
    START,
    keep,
    recorded,
    row_of,
)

MINUTE = timedelta(minutes=1)


async def test_what_is_set_aside_is_alarmed_of_once_a_day(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    settings.spool.mkdir(parents=True)
    tools, day = Tools(settings, engine), timedelta(days=1)

    async def alarmed(now: datetime) -> list[str]:
        await redis.delete("desk:alarms")
        await waiting_recordings.alarm_aside(tools, redis, now)
        return [json.loads(each)["kind"] for each in await redis.lrange("desk:alarms", 0, -1)]

    await recorded(tools)  # of 64 s; its conversation ended as it began
    await keep(tools)
    assert await alarmed(START + day / 2) == []  # which may yet be put right
    assert await alarmed(START + 2 * day) == ["recording_aside"]
    assert await alarmed(START + 2 * day) == []
    for content in (b"", b"\0" * 7):
        await recorded(tools, content)
    await keep(tools)
    assert await alarmed(START + day / 2) == ["recording_aside"]
    assert await alarmed(START + 2 * day) == []
    foreign = settings.spool / "foreign.raw"
    foreign.write_bytes(bytes(8000))
    assert await alarmed(datetime.now(UTC)) == []  # somebody may yet say whose it is
    hour_ago = time.time() - 3600
    os.utime(foreign, (hour_ago, hour_ago))
    assert await alarmed(datetime.now(UTC)) == ["recording_aside"]
    assert await alarmed(datetime.now(UTC)) == []
    assert len(list(settings.spool.glob("*.raw"))) == 3


async def test_what_is_set_aside_is_alarmed_of_every_day_until_somebody_dealt_with_it(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    settings.spool.mkdir(parents=True)
    tools, day = Tools(settings, engine), timedelta(days=1)
    failed, other = await recorded(tools, b""), await recorded(tools)
    await keep(tools)

    async def alarmed(now: datetime) -> int:
        """How often within the day that begins then."""
        await redis.flushdb()  # what was told of is forgotten after a day
        for _ in range(3):
            await waiting_recordings.alarm_aside(tools, redis, now)
        ttls = [await redis.ttl(each) async for each in redis.scan_iter("desk:alarmed:*")]
        assert all(0 < ttl <= day.total_seconds() for ttl in ttls)
        return int(await redis.llen("desk:alarms"))

    async def deal_with(recording_id: UUID, reason: str) -> None:
        async with unit_of_work(engine) as connection:
            await set_aside.deal_with(connection, {recording_id}, "system:olzhas", reason)

    for days in (2, 4, 400):
        assert await alarmed(START + days * day) == 1
    assert {each.id for each in await aside(engine)} == {failed, other}
    with pytest.raises(AskedWrongly, match="what became of them"):
        await deal_with(failed, " ")
    await deal_with(failed, "the disk was  pulled out")
    assert [each.id for each in await aside(engine)] == [other]
    assert await alarmed(START + 400 * day) == 1
    await deal_with(other, "a clock was wrong")
    with pytest.raises(AskedWrongly, match=f"not set aside: {other}"):
        await deal_with(other, "once more")
    assert await alarmed(START + 400 * day) == 0
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
    tools = Tools(settings, engine)
    recording_id = await recorded(tools, close=False)
    async with unit_of_work(engine) as connection:
        await store.close(connection, recording_id=recording_id, ended_at=START - 90 * MINUTE)
    keeper = Keeper(settings, engine)
    assert not await keeper.keep_closed(LONGER)
    assert await keeper.keep_closed(SHORTER)
    assert (await row_of(tools, recording_id)).state == "stored"
    assert [each.id for each in await aside(engine)] == [recording_id]


async def test_what_waits_since_a_time_that_is_still_to_come_is_alarmed_of(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    """It ended before the clock was put back."""
    settings.spool.mkdir(parents=True)
    tools = Tools(settings, engine)
    await recorded(tools)
    for before, alarms in ((MINUTE, 0), (60 * MINUTE, 1)):
        await waiting_recordings.alarm(tools, redis, START - before)
        assert await redis.llen("desk:alarms") == alarms


async def aside(engine: AsyncEngine) -> list[set_aside.Aside]:
    async with unit_of_work(engine) as connection:
        return await set_aside.aside(connection)
