import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

import pytest
import soundfile
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work, within
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import Objects
from callcenter.recordings import store
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing import audio, spool
from callcenter.recordings.sealing import worker as sealing_worker
from callcenter.recordings.sealing.reader import open_recording
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.sealing.worker import SealingWorker
from tests import fork_server
from tests.appeals import opened
from tests.services import CALLCENTER

START = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
AUDIO = bytes(range(256)) * 8000  # 64 s: several blocks

# Writes a sound into a file for each line it reads, and has it open meanwhile, as the switch has.
STILL_WRITING = """
import sys
with open(sys.argv[1], "wb", buffering=0) as file:
    for line in sys.stdin:
        file.write(bytes(range(256)) * 4000)
        print("written", flush=True)
"""


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "CALLCENTER_VAR": str(settings.var),
        "CALLCENTER_RECORDINGS": str(settings.recordings),
        "CALLCENTER_DATABASE_URL": settings.database,
    }


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    settings.spool.mkdir(parents=True)
    return WorkerResources(settings, engine)


async def keep(tools: WorkerResources) -> None:
    """What a worker does that has just been started, until nothing is due."""
    running = SealingWorker(tools.settings, tools.engine)
    await running.tidy()
    while await running.seal_closed():
        pass


async def recorded(
    tools: WorkerResources, content: bytes | None = AUDIO, *, close: bool = True
) -> UUID:
    """A recording that the switch has written."""
    recording_id = uuid4()
    name = f"{recording_id}.raw"
    if content is not None:
        (tools.settings.spool / name).write_bytes(content)
    async with unit_of_work(tools.engine) as connection:
        appeal_id = await opened(connection, START)
        await store.begin(
            connection,
            recording_id=recording_id,
            appeal_id=appeal_id,
            consultant_id=None,
            spool_name=name,
            started_at=START,
        )
        if close:
            await store.close(connection, recording_id=recording_id, ended_at=START)
    return recording_id


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[fork_server.Forked]:
    """A worker, killed at the end."""
    process = await fork_server.begin((*CALLCENTER, "worker"), environment(settings))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def seal_by_workers(tools: WorkerResources, recording_id: UUID) -> None:
    async with asyncio.timeout(20):
        while (await row_of(tools, recording_id)).state != "stored":
            await asyncio.sleep(0.05)


async def row_of(tools: WorkerResources, recording_id: UUID) -> store.RecordingRow:
    async with unit_of_work(tools.engine) as connection:
        row = await store.find(connection, recording_id)
    assert row is not None
    return row


async def is_stored(tools: WorkerResources, recording_id: UUID) -> None:
    row = await row_of(tools, recording_id)
    assert row.state == "stored"
    assert row.store_name == f"2026/02/28/{recording_id}.flac.age"
    target = tools.settings.recordings / row.store_name
    sealed = target.read_bytes()
    assert (row.sha256, row.bytes) == (sha256(sealed).hexdigest(), len(sealed))
    assert target.stat().st_mode & 0o777 == 0o600
    assert row.duration_ms == 64_000
    async with unit_of_work(tools.engine) as connection:
        opened = await open_recording(connection, SealedStore(tools.settings), recording_id)
    with opened.audio as audio:
        file = audio.read()
    assert (row.audio_sha256, row.audio_bytes) == (sha256(file).hexdigest(), len(file))
    sound, _ = soundfile.read(BytesIO(file), dtype="int16")
    assert sound.tobytes() == AUDIO
    assert list(tools.settings.spool.iterdir()) == []
    assert [path.name for path in target.parent.iterdir()] == [target.name]


async def test_a_closed_recording_is_sealed_and_its_raw_file_removed(
    tools: WorkerResources,
) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    await is_stored(tools, recording_id)


async def test_keeping_twice_is_keeping_once(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    before = await row_of(tools, recording_id)
    await keep(tools)
    assert await row_of(tools, recording_id) == before
    await is_stored(tools, recording_id)


async def test_a_file_still_being_written_waits_whole(tools: WorkerResources) -> None:
    recording_id = await recorded(tools, None)
    file = tools.settings.spool / f"{recording_id}.raw"
    switch = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STILL_WRITING, file),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert switch.stdin is not None
    assert switch.stdout is not None
    for _ in range(2):
        switch.stdin.write(b"on\n")
        assert await switch.stdout.readline() == b"written\n"
        await keep(tools)
        assert (await row_of(tools, recording_id)).state == "closed"
    switch.stdin.close()
    assert await switch.wait() == 0
    await keep(tools)
    await is_stored(tools, recording_id)


async def test_what_the_store_alters_is_put_again(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the raw file stays until it reads back."""
    recording_id, put = await recorded(tools), Objects.put

    def put_less(objects: Objects, name: str, content: BinaryIO) -> None:
        put(objects, name, content)
        file = tools.settings.recordings / name
        file.write_bytes(file.read_bytes()[:-1])

    with monkeypatch.context() as failing:
        failing.setattr(Objects, "put", put_less)
        await keep(tools)
    assert (await row_of(tools, recording_id)).state == "closed"
    assert (tools.settings.spool / f"{recording_id}.raw").read_bytes() == AUDIO
    await keep(tools)
    await is_stored(tools, recording_id)


async def test_recordings_are_sealed_in_rounds_past_a_bad_one(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_worker, "BATCH", 3)
    bad = [await recorded(tools) for _ in range(4)]
    for each in bad:
        (tools.settings.recordings / f"2026/02/28/{each}.flac.age").mkdir(parents=True)
    good = [await recorded(tools) for _ in range(7)]
    running = SealingWorker(tools.settings, tools.engine)
    while await running.seal_closed():
        pass
    assert {(await row_of(tools, each)).state for each in good} == {"stored"}
    assert {(await row_of(tools, each)).state for each in bad} == {"closed"}
    left = {file.name for file in tools.settings.spool.iterdir()}
    assert left == {f"{each}.raw" for each in bad}


async def test_what_could_not_be_sealed_is_tried_again(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await recorded(tools)
    hindrance = tools.settings.recordings / f"2026/02/28/{recording_id}.flac.age"
    hindrance.mkdir(parents=True)
    monkeypatch.setattr(sealing_worker, "MAX_BACKOFF", 0.0)
    running = SealingWorker(tools.settings, tools.engine)
    for _ in range(3):
        assert await running.seal_closed()
    assert (await row_of(tools, recording_id)).state == "closed"
    hindrance.rmdir()
    assert await running.seal_closed()
    await is_stored(tools, recording_id)


async def test_encoding_yields_to_calls_and_the_worker_does_not(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(tools)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    nice = []
    encode = audio.encode

    def encode_and_tell(
        raw: Path, target: BinaryIO, written: Format, comment: str
    ) -> audio.Encoded:
        nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return encode(raw, target, written, comment)

    monkeypatch.setattr(audio, "encode", encode_and_tell)
    await keep(tools)
    assert nice[0] > own
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


async def test_a_killed_workers_spool_is_taken_over_by_one(
    tools: WorkerResources,
) -> None:
    async with worker(tools.settings) as first:
        await seal_by_workers(tools, await recorded(tools))
        with pytest.raises(spool.SpoolLocked), spool.lock(tools.settings.spool):
            pass
        async with worker(tools.settings):
            first.kill()
            await seal_by_workers(tools, await recorded(tools))


async def test_a_stopped_worker_has_let_go_of_everything(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that encodes has ended when the spool is free again."""
    for _ in range(3):
        await recorded(tools)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    encode = audio.encode

    def slow_encode(raw: Path, target: BinaryIO, written: Format, comment: str) -> audio.Encoded:
        begun.set()
        assert go_on.wait(10)
        encoded = encode(raw, target, written, comment)
        ended.set()
        return encoded

    monkeypatch.setattr(audio, "encode", slow_encode)
    running = asyncio.create_task(SealingWorker(tools.settings, tools.engine).run())
    assert await asyncio.to_thread(begun.wait, 10)
    running.cancel()
    await asyncio.sleep(0)
    with pytest.raises(spool.SpoolLocked), spool.lock(tools.settings.spool):
        pass
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
    with spool.lock(tools.settings.spool):
        monkeypatch.undo()
        await keep(tools)
    assert list(tools.settings.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "missing"), (b"", "empty"), (b"\0" * 3, "empty")]
)
async def test_a_file_that_is_no_recording_fails_it_and_stays(
    tools: WorkerResources, content: bytes | None, fault: str
) -> None:
    recording_id = await recorded(tools, content)
    for _ in range(2):
        await keep(tools)
    row = await row_of(tools, recording_id)
    assert (row.state, row.sha256) == ("failed", None)
    assert fault in (row.fault or "")
    left = [path.read_bytes() for path in tools.settings.spool.iterdir()]
    assert left == ([] if content is None else [content])


async def test_partial_frames_at_the_end_lose_no_conversation(tools: WorkerResources) -> None:
    recording_id = await recorded(tools, AUDIO + b"\1\2\3")
    await keep(tools)
    await is_stored(tools, recording_id)
    assert "3 bytes were left out" in ((await row_of(tools, recording_id)).fault or "")


@pytest.mark.parametrize("content", [b"", b"\1" * 8])
async def test_of_an_empty_recording_only_an_empty_file_is_removed(
    tools: WorkerResources, content: bytes
) -> None:
    recording_id = await recorded(tools, content, close=False)
    async with unit_of_work(tools.engine) as connection:
        ended = store.EndedRecording(recording_id, START, is_empty=True)
        await store.close_all(within(connection), [ended])
    for _ in range(2):
        await keep(tools)
    row = await row_of(tools, recording_id)
    assert (row.state, row.ended_at, row.fault) == ("empty", START, None)
    left = [path.read_bytes() for path in tools.settings.spool.iterdir()]
    assert left == ([content] if content else [])


async def test_a_raw_file_outlives_an_altered_stored_one(
    tools: WorkerResources, caplog: pytest.LogCaptureFixture
) -> None:
    recording_id = await recorded(tools)
    raw = tools.settings.spool / (await row_of(tools, recording_id)).spool_name
    await keep(tools)
    raw.write_bytes(AUDIO)
    stored = tools.settings.recordings / f"2026/02/28/{recording_id}.flac.age"
    stored.write_bytes(stored.read_bytes() + b"\0")
    await keep(tools)
    assert raw.exists()
    assert "is not what was sealed" in caplog.text


async def test_an_open_recording_is_not_read(tools: WorkerResources) -> None:
    recording_id = await recorded(tools, close=False)
    await keep(tools)
    assert (await row_of(tools, recording_id)).state == "recording"
    assert (tools.settings.spool / f"{recording_id}.raw").exists()


async def test_closing_again_moves_nothing(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    async with unit_of_work(tools.engine) as connection:
        await store.close(
            connection, recording_id=recording_id, ended_at=START + timedelta(hours=1)
        )
    row = await row_of(tools, recording_id)
    assert (row.state, row.ended_at) == ("closed", START)


async def test_a_path_is_no_spool_name(tools: WorkerResources) -> None:
    async with unit_of_work(tools.engine) as connection:
        with pytest.raises(InvalidRequest, match="plain file name"):
            await store.begin(
                connection,
                recording_id=uuid4(),
                appeal_id=uuid4(),
                consultant_id=None,
                spool_name="../secret",
                started_at=START,
            )


async def test_recordings_that_close_in_turn_share_a_round(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls end, the database is asked as often as each round may begin."""
    looks: list[dict[str, Any]] = []
    list_closed = store.list_closed

    async def counted(*arguments: Any, **conditions: Any) -> list[store.RecordingRow]:
        looks.append(conditions)
        return await list_closed(*arguments, **conditions)

    monkeypatch.setattr(store, "list_closed", counted)
    since = time.monotonic()
    sealing = asyncio.create_task(SealingWorker(tools.settings, tools.engine).run())
    ids = [await recorded(tools, AUDIO[:64000]) for _ in range(30)]
    for each in ids:
        await seal_by_workers(tools, each)
    took = time.monotonic() - since
    sealing.cancel()
    await asyncio.wait([sealing])
    longer = sum(each["lengths"] == sealing_worker.LONGER for each in looks)
    assert longer <= 1 + took / sealing_worker.LONG_LOOK_INTERVAL
    assert len(looks) - longer <= 1 + took / sealing_worker.LOOK_INTERVAL


async def test_the_worker_keeps_recordings_and_ends_on_sigterm(tools: WorkerResources) -> None:
    async with worker(tools.settings) as process:
        recording_id = await recorded(tools)
        await seal_by_workers(tools, recording_id)
        process.terminate()
        assert await process.wait() == 0
    await is_stored(tools, recording_id)
