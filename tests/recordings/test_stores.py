"""Recordings on a real S3 server, with a second store; servers go away, objects are altered."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from uuid import UUID

import obstore
import pytest
import soundfile
from obstore.store import LocalStore, S3Store
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.errors import AskedWrongly, WeFailed
from callcenter.recordings import audio, jobs, keeping, keys, set_aside, store
from callcenter.recordings.keeping import LONGER, SHORTER, Keeper
from callcenter.recordings.opening import open_recording
from callcenter.recordings.vault import Vault
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects, StoreFails
from callcenter.worker import waiting_recordings
from tests.recordings.test_erasing import verified
from tests.recordings.test_keeping import (
    AUDIO,
    START,
    keep,
    recorded,
    row_of,
)
from tests.s3 import S3Server
from tests.services import filled

MINUTE = timedelta(minutes=1)


def on_s3(settings: Settings, s3: S3Server) -> Settings:
    """Kept in a bucket, copied to a folder."""
    settings.spool.mkdir(parents=True, exist_ok=True)
    copies = str(settings.var / "copies")
    return Settings(
        _env_file=None,
        var=settings.var,
        recordings=settings.recordings,
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        recordings_url=s3.new_bucket(),
        recordings_copy=copies,
    )


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine, s3: S3Server) -> Iterator[Tools]:
    yield Tools(on_s3(settings, s3), engine)
    s3.stop()
    s3.start()


async def copy_all(tools: Tools) -> None:
    await jobs.copy_stored(tools, until=time.monotonic() + 30)


def in_bucket(tools: Tools, s3: S3Server) -> S3Store:
    return s3.store(tools.settings.store.name)


async def test_a_recording_is_kept_in_a_bucket_heard_copied_and_removed(
    tools: Tools, s3: S3Server
) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    row = await row_of(tools, recording_id)
    assert (row.state, row.duration_ms) == ("stored", 64_000)
    assert not tools.settings.recordings.exists()
    assert list(tools.settings.spool.iterdir()) == []
    name = f"kept/{row.store_name}"
    assert obstore.head(in_bucket(tools, s3), name)["size"] == row.bytes
    async with unit_of_work(tools.engine) as connection:
        opened = await open_recording(connection, Vault(tools.settings), recording_id)
    opened.audio.seek(-100, 2)
    assert len(opened.audio.read()) == 100
    await copy_all(tools)
    copy = tools.settings.var / "copies" / (row.store_name or "")
    assert copy.stat().st_size == row.bytes
    assert await verified(tools) == {}
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("UPDATE recording SET state = 'erased'"))
    await jobs.remove_erased(tools)
    assert not copy.exists()
    assert [each for page in obstore.list(in_bucket(tools, s3)) for each in page] == []


async def test_an_object_of_hundreds_of_megabytes_goes_in_parts(
    tools: Tools, tmp_path: Path
) -> None:
    objects, big = Objects(tools.settings.store), tmp_path / "big"
    with big.open("wb") as file:
        for number in range(40):
            file.write(bytes([number]) * 1024**2)
    with big.open("rb") as file:
        objects.put("big", file)
    assert objects.size("big") == big.stat().st_size
    assert objects.read("big", 1024**2 - 1, 2) == b"\0\1"
    assert sum(map(len, objects.stream("big"))) == big.stat().st_size
    objects.remove("big")


async def test_what_is_missing_or_altered_in_either_store_is_noticed_and_mended(
    tools: Tools, s3: S3Server
) -> None:
    ids = [await recorded(tools) for _ in range(4)]
    await keep(tools)
    await copy_all(tools)
    names = [(await row_of(tools, each)).store_name or "" for each in ids]
    first, second = in_bucket(tools, s3), LocalStore(tools.settings.var / "copies")
    obstore.delete(first, f"kept/{names[0]}")
    obstore.put(first, f"kept/{names[1]}", b"altered")
    obstore.put(second, names[2], b"altered")
    found = await verified(tools)
    assert found.keys() == set(ids[:3])
    assert "not in the store" in found[ids[0]]
    assert found[ids[2]] == "the copy: This is not what was sealed."
    for each in ids[:3]:
        await jobs.mend(tools.engine, tools.settings, each)
    assert await verified(tools) == {}
    obstore.put(first, f"kept/{names[3]}", b"altered")
    obstore.delete(second, names[3])
    with pytest.raises(WeFailed):
        await jobs.mend(tools.engine, tools.settings, ids[3])
    assert len(await verified(tools)) == 1


async def test_what_is_altered_is_not_copied(
    tools: Tools, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await recorded(tools), await recorded(tools)
    await keep(tools)
    obstore.put(in_bucket(tools, s3), f"kept/{(await row_of(tools, bad)).store_name}", b"altered")
    await copy_all(tools)
    async with unit_of_work(tools.engine) as connection:
        assert await store.copied_of(connection, [bad, good]) == {good}
    assert f"{bad} is not copied" in caplog.text


@pytest.mark.patient
async def test_a_store_that_is_away_under_load_loses_nothing_and_is_caught_up_with(
    tools: Tools,
    s3: S3Server,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An hour, seconds for minutes: conversations end all the while."""
    monkeypatch.setattr(keeping, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(keeping, "STORE_DELAY", 0.3)
    encoded = []
    encode = audio.encode

    def counted(*args: object) -> int:
        encoded.append(args)
        return encode(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "encode", counted)
    caplog.set_level(logging.CRITICAL)
    s3.stop()
    ids = []
    keeper = asyncio.create_task(Keeper(tools.settings, tools.engine).run())
    try:
        for _ in range(40):
            ids.append(await recorded(tools))
            await asyncio.sleep(0.05)
        assert {(await row_of(tools, each)).state for each in ids} == {"closed"}
        assert len(list(tools.settings.spool.glob("*.raw"))) == len(ids)
        # One was tried, then the store alone was asked, less and less often.
        assert len(encoded) <= 2
        assert 1 <= caplog.text.count("the store is away") <= 15
        await waiting_recordings.alarm(tools, redis, datetime.now(UTC))
        await waiting_recordings.alarm(tools, redis, datetime.now(UTC))
        told = [json.loads(each)["kind"] for each in await redis.lrange("desk:alarms", 0, -1)]
        assert told == ["recordings_wait"]
        await asyncio.to_thread(s3.start)
        async with asyncio.timeout(60):
            while {(await row_of(tools, each)).state for each in ids} != {"stored"}:
                await asyncio.sleep(0.05)
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
    assert list(tools.settings.spool.iterdir()) == []
    assert await verified(tools) == {}


# soundfile writes through a callback, whose error (no space) C can only pass over; it raises then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_on_a_full_disk_recordings_wait_and_are_sealed_when_there_is_room(
    settings: Settings, engine: AsyncEngine, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LAST_DELAY", 0.0)
    tools = Tools(settings, engine)
    recording_id = await recorded(tools)
    filling = filled(small_disk, but=100_000)
    keeper = Keeper(settings, engine)
    for _ in range(3):
        assert await keeper.keep_closed()
    assert (await row_of(tools, recording_id)).state == "closed"
    assert len(list(settings.spool.glob("*.raw"))) == 1
    filling.unlink()
    assert await keeper.keep_closed()
    assert (await row_of(tools, recording_id)).state == "stored"
    assert await verified(tools) == {}


async def test_while_all_keys_are_lost_recordings_wait_and_the_next_key_seals_them(
    settings: Settings,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And what the lost key had sealed is said to be out of reach, not to be another."""
    monkeypatch.setattr(keeping, "LAST_DELAY", 0.0)
    settings.spool.mkdir(parents=True)
    tools = Tools(settings, engine)
    before = await recorded(tools)
    await keep(tools)
    settings.keys.rename(settings.keys.with_name("away"))
    ids = [await recorded(tools) for _ in range(3)]
    keeper = Keeper(settings, engine)
    for _ in range(2):
        assert await keeper.keep_closed()
    assert {(await row_of(tools, each)).state for each in ids} == {"closed"}
    assert len(list(settings.spool.glob("*.raw"))) == len(ids)
    assert "callcenter keys recordings" in caplog.text
    public = keys.make(settings.keys)
    assert await keeper.keep_closed()
    assert {(await row_of(tools, each)).sealed_to for each in ids} == {public}
    found = await verified(tools)
    assert found == {before: "None of the center's keys opens this recording."}


async def test_a_second_store_that_is_away_holds_up_no_sealing(
    settings: Settings, engine: AsyncEngine, redis: Redis, s3: S3Server
) -> None:
    settings.spool.mkdir(parents=True)
    tools = Tools(settings.model_copy(update={"recordings_copy": s3.new_bucket()}), engine)
    s3.stop()
    try:
        recording_id = await recorded(tools)
        await keep(tools)
        assert (await row_of(tools, recording_id)).state == "stored"
        with pytest.raises(StoreFails):
            await copy_all(tools)
        await waiting_recordings.alarm(tools, redis, START + timedelta(minutes=50))
        assert await redis.lrange("desk:alarms", 0, -1) == []
        await waiting_recordings.alarm(tools, redis, START + timedelta(minutes=70))
        assert len(await redis.lrange("desk:alarms", 0, -1)) == 1
    finally:
        s3.start()
    await copy_all(tools)
    assert await verified(tools) == {}


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


def test_a_bucket_that_is_not_there_is_named(s3: S3Server) -> None:
    url = s3.new_bucket().get_secret_value().replace("@bucket", "@no-bucket")
    away = Objects(Settings(_env_file=None, recordings_url=url).store)
    with pytest.raises(StoreFails, match="NoSuchBucket"):
        away.reach()
    with pytest.raises(StoreFails, match="make the bucket"):
        away.put("some", BytesIO(b"some"))


@pytest.mark.parametrize(
    "url", ["s3://", "s3://K@b", "https://b", "s3://b?who=me", "s3://b?endpoint=ftp://x", "b"]
)
def test_a_store_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="recordings_url"):
        Settings(_env_file=None, recordings_url=url)


async def test_a_long_recording_keeps_no_other_waiting(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While hours are encoded, what is short goes past; both are kept in the end."""
    settings.spool.mkdir(parents=True)
    tools = Tools(settings, engine)
    long, go_on = await recorded(tools), asyncio.Event()
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE recording SET ended_at = started_at + '4 hours'"))
    loop, encode = asyncio.get_running_loop(), audio.encode

    def slow(raw: Path, *args: object) -> int:
        if raw.name.startswith(str(long)):
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
        return encode(raw, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "encode", slow)
    keeper = asyncio.create_task(Keeper(settings, engine).run())
    try:
        short = await recorded(tools)
        async with asyncio.timeout(20):
            while (await row_of(tools, short)).state != "stored":
                await asyncio.sleep(0.02)
        assert (await row_of(tools, long)).state == "closed"
        go_on.set()
        async with asyncio.timeout(20):
            while (await row_of(tools, long)).state != "stored":
                await asyncio.sleep(0.02)
    finally:
        go_on.set()
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


@pytest.mark.timeout(600)  # ten seconds of work, for a thread that gives way to all others
async def test_four_hours_are_kept_and_heard_from_their_end(
    settings: Settings, engine: AsyncEngine
) -> None:
    """Silence, then 64 s of sound: the raw file is more than memory should ever hold."""
    settings.spool.mkdir(parents=True)
    tools, hours = Tools(settings, engine), 4 * 3600
    recording_id = await recorded(tools)
    with (settings.spool / f"{recording_id}.raw").open("wb") as file:
        file.truncate(hours * audio.RATE * audio.FRAME_BYTES - len(AUDIO))
        file.seek(0, os.SEEK_END)
        file.write(AUDIO)
    await keep(tools)
    row = await row_of(tools, recording_id)
    assert (row.state, row.duration_ms) == ("stored", hours * 1000)
    async with unit_of_work(engine) as connection:
        opened = await open_recording(connection, Vault(settings), recording_id)
    with soundfile.SoundFile(opened.audio) as sound:
        sound.seek(-audio.RATE, os.SEEK_END)
        heard = sound.read(dtype="int16")
    assert heard.tobytes() == AUDIO[-audio.RATE * audio.FRAME_BYTES :]
    assert list(settings.spool.iterdir()) == []


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


async def test_opus_is_kept_and_heard_beside_flac(settings: Settings, engine: AsyncEngine) -> None:
    settings.spool.mkdir(parents=True)
    before = Tools(settings, engine)
    first = await recorded(before)
    await keep(before)
    after = Tools(settings.model_copy(update={"recordings_format": "opus"}), engine)
    second = await recorded(after)
    await keep(after)
    kept = [await row_of(after, each) for each in (first, second)]
    assert [row.audio_format.value for row in kept] == ["flac", "opus"]
    assert {row.duration_ms for row in kept} == {64_000}
    async with unit_of_work(engine) as connection:
        opened = await open_recording(connection, Vault(settings), second)
    assert opened.audio.read(4) == b"OggS"
    assert await verified(after) == {}
