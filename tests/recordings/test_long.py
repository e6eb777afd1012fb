"""Long recordings beside others, and in either format."""

import asyncio
import os
from pathlib import Path

import pytest
import soundfile
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.sealing import audio
from callcenter.recordings.sealing.reader import open_recording
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.sealing.worker import SealingWorker
from tests.recordings.test_erasure import verified
from tests.recordings.test_sealing_worker import AUDIO, keep, recorded, row_of


async def test_a_long_recording_keeps_no_other_waiting(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While hours are encoded, what is short goes past; both are kept in the end."""
    settings.spool.mkdir(parents=True)
    tools = WorkerResources(settings, engine)
    long, go_on = await recorded(tools), asyncio.Event()
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE recording SET ended_at = started_at + '4 hours'"))
    loop, encode = asyncio.get_running_loop(), audio.encode

    def slow(raw: Path, *args: object) -> audio.Encoded:
        if raw.name.startswith(str(long)):
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
        return encode(raw, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(audio, "encode", slow)
    worker = asyncio.create_task(SealingWorker(settings, engine).run())
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
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


@pytest.mark.long
@pytest.mark.timeout(600)  # ten seconds of work for four hours, in a thread that yields to all
async def test_a_long_recording_is_stored_and_heard_from_its_end(
    settings: Settings, engine: AsyncEngine, at_length: bool
) -> None:
    """Silence, then 64 s of sound; of four hours the raw file is more than memory should hold."""
    settings.spool.mkdir(parents=True)
    tools, seconds = WorkerResources(settings, engine), (4 * 3600 if at_length else 20 * 60)
    recording_id = await recorded(tools)
    with (settings.spool / f"{recording_id}.raw").open("wb") as file:
        file.truncate(seconds * audio.RATE * audio.FRAME_BYTES - len(AUDIO))
        file.seek(0, os.SEEK_END)
        file.write(AUDIO)
    await keep(tools)
    row = await row_of(tools, recording_id)
    assert (row.state, row.duration_ms) == ("stored", seconds * 1000)
    async with unit_of_work(engine) as connection:
        opened = await open_recording(connection, SealedStore(settings), recording_id)
    with soundfile.SoundFile(opened.audio) as sound:
        sound.seek(-audio.RATE, os.SEEK_END)
        heard = sound.read(dtype="int16")
    assert heard.tobytes() == AUDIO[-audio.RATE * audio.FRAME_BYTES :]
    assert list(settings.spool.iterdir()) == []


async def test_opus_is_stored_and_heard_beside_flac(
    settings: Settings, engine: AsyncEngine
) -> None:
    settings.spool.mkdir(parents=True)
    before = WorkerResources(settings, engine)
    first = await recorded(before)
    await keep(before)
    after = WorkerResources(settings.model_copy(update={"recordings_format": "opus"}), engine)
    second = await recorded(after)
    await keep(after)
    stored = [await row_of(after, each) for each in (first, second)]
    assert [row.audio_format.value for row in stored] == ["flac", "opus"]
    assert {row.duration_ms for row in stored} == {64_000}
    async with unit_of_work(engine) as connection:
        opened = await open_recording(connection, SealedStore(settings), second)
    assert opened.audio.read(4) == b"OggS"
    assert await verified(after) == {}
