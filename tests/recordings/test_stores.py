"""Recordings on a real S3 server, with a second store; servers go away, objects are altered."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, S3Store
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects, ObjectStoreUnavailable
from callcenter.recordings import jobs, store
from callcenter.recordings.sealing import audio, keys, worker
from callcenter.recordings.sealing.reader import open_recording
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.worker import recording_alerts
from tests.recordings.test_erasure import verified
from tests.recordings.test_sealing_worker import START, keep, recorded, row_of
from tests.s3 import S3Server
from tests.services import filled


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
def tools(settings: Settings, engine: AsyncEngine, s3: S3Server) -> Iterator[WorkerResources]:
    yield WorkerResources(on_s3(settings, s3), engine)
    s3.stop()
    s3.start()


async def copy_all(tools: WorkerResources) -> None:
    await jobs.copy_stored(tools, until=time.monotonic() + 30)


def in_bucket(tools: WorkerResources, s3: S3Server) -> S3Store:
    return s3.store(tools.settings.store.name)


async def test_a_recording_in_a_bucket_is_heard_copied_and_removed(
    tools: WorkerResources, s3: S3Server
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
        opened = await open_recording(connection, SealedStore(tools.settings), recording_id)
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
    tools: WorkerResources, tmp_path: Path
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


async def test_damage_in_either_store_is_noticed_and_repaired(
    tools: WorkerResources, s3: S3Server
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
        await jobs.repair(tools.engine, tools.settings, each)
    assert await verified(tools) == {}
    obstore.put(first, f"kept/{names[3]}", b"altered")
    obstore.delete(second, names[3])
    with pytest.raises(OperationFailed):
        await jobs.repair(tools.engine, tools.settings, ids[3])
    assert len(await verified(tools)) == 1


async def test_what_is_altered_is_not_copied(
    tools: WorkerResources, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await recorded(tools), await recorded(tools)
    await keep(tools)
    obstore.put(in_bucket(tools, s3), f"kept/{(await row_of(tools, bad)).store_name}", b"altered")
    await copy_all(tools)
    async with unit_of_work(tools.engine) as connection:
        assert await store.copied_ids(connection, [bad, good]) == {good}
    assert f"copying failed: recording {bad}" in caplog.text


@pytest.mark.slow
async def test_a_store_unavailable_under_load_loses_nothing(
    tools: WorkerResources,
    s3: S3Server,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An hour, seconds for minutes: conversations end all the while."""
    monkeypatch.setattr(worker, "LOOK_INTERVAL", 0.02)
    monkeypatch.setattr(worker, "MAX_STORE_BACKOFF", 0.3)
    encoded = []
    encode = audio.encode

    def counted(*args: object) -> audio.Encoded:
        encoded.append(args)
        return encode(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "encode", counted)
    caplog.set_level(logging.CRITICAL)
    s3.stop()
    ids, began = [], time.monotonic()
    sealing_worker = asyncio.create_task(SealingWorker(tools.settings, tools.engine).run())
    try:
        for _ in range(40):
            ids.append(await recorded(tools))
            await asyncio.sleep(0.05)
        assert {(await row_of(tools, each)).state for each in ids} == {"closed"}
        assert len(list(tools.settings.spool.glob("*.raw"))) == len(ids)
        # One was tried, then the store alone was asked, less and less often.
        assert len(encoded) <= 2
        looks = caplog.text.count("store unavailable")
        assert 1 <= looks <= 8 + (time.monotonic() - began) / 0.3
        await recording_alerts.alert_backlog(tools, redis, datetime.now(UTC))
        await recording_alerts.alert_backlog(tools, redis, datetime.now(UTC))
        reported = [json.loads(each)["kind"] for each in await redis.lrange("desk:alarms", 0, -1)]
        assert reported == ["recordings_wait"]
        await asyncio.to_thread(s3.start)
        async with asyncio.timeout(60):
            while {(await row_of(tools, each)).state for each in ids} != {"stored"}:
                await asyncio.sleep(0.05)
    finally:
        sealing_worker.cancel()
        await asyncio.gather(sealing_worker, return_exceptions=True)
    assert list(tools.settings.spool.iterdir()) == []
    assert await verified(tools) == {}


# soundfile writes through a callback, whose error (no space) C can only pass over; it raises then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_on_a_full_disk_recordings_wait_to_be_sealed(
    settings: Settings, engine: AsyncEngine, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_BACKOFF", 0.0)
    tools = WorkerResources(settings, engine)
    recording_id = await recorded(tools)
    filling = filled(small_disk, but=100_000)
    sealing_worker = SealingWorker(settings, engine)
    for _ in range(3):
        assert await sealing_worker.seal_closed()
    assert (await row_of(tools, recording_id)).state == "closed"
    assert len(list(settings.spool.glob("*.raw"))) == 1
    filling.unlink()
    assert await sealing_worker.seal_closed()
    assert (await row_of(tools, recording_id)).state == "stored"
    assert await verified(tools) == {}


async def test_without_keys_recordings_wait_for_the_next_one(
    settings: Settings,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And what the lost key had sealed is said to be out of reach, not to be another."""
    monkeypatch.setattr(worker, "MAX_BACKOFF", 0.0)
    settings.spool.mkdir(parents=True)
    tools = WorkerResources(settings, engine)
    before = await recorded(tools)
    await keep(tools)
    settings.keys.rename(settings.keys.with_name("away"))
    ids = [await recorded(tools) for _ in range(3)]
    sealing_worker = SealingWorker(settings, engine)
    for _ in range(2):
        assert await sealing_worker.seal_closed()
    assert {(await row_of(tools, each)).state for each in ids} == {"closed"}
    assert len(list(settings.spool.glob("*.raw"))) == len(ids)
    assert "callcenter keys make" in caplog.text
    public = keys.make(settings.keys)
    assert await sealing_worker.seal_closed()
    assert {(await row_of(tools, each)).sealed_to for each in ids} == {public}
    found = await verified(tools)
    assert found == {before: "None of the center's keys opens this recording."}


async def test_a_second_store_that_is_unavailable_holds_up_no_sealing(
    settings: Settings, engine: AsyncEngine, redis: Redis, s3: S3Server
) -> None:
    settings.spool.mkdir(parents=True)
    tools = WorkerResources(
        settings.model_copy(update={"recordings_copy": s3.new_bucket()}), engine
    )
    s3.stop()
    try:
        recording_id = await recorded(tools)
        await keep(tools)
        assert (await row_of(tools, recording_id)).state == "stored"
        with pytest.raises(ObjectStoreUnavailable):
            await copy_all(tools)
        await recording_alerts.alert_backlog(tools, redis, START + timedelta(minutes=50))
        assert await redis.lrange("desk:alarms", 0, -1) == []
        await recording_alerts.alert_backlog(tools, redis, START + timedelta(minutes=70))
        assert len(await redis.lrange("desk:alarms", 0, -1)) == 1
    finally:
        s3.start()
    await copy_all(tools)
    assert await verified(tools) == {}


def test_a_bucket_that_is_not_there_is_named(s3: S3Server) -> None:
    url = s3.new_bucket().get_secret_value().replace("@bucket", "@no-bucket")
    absent = Objects(Settings(_env_file=None, recordings_url=url).store)
    with pytest.raises(ObjectStoreUnavailable, match="NoSuchBucket"):
        absent.reach()
    with pytest.raises(ObjectStoreUnavailable, match="make the bucket"):
        absent.put("some", BytesIO(b"some"))


@pytest.mark.parametrize(
    "url", ["s3://", "s3://K@b", "https://b", "s3://b?who=me", "s3://b?endpoint=ftp://x", "b"]
)
def test_a_store_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="recordings_url"):
        Settings(_env_file=None, recordings_url=url)
