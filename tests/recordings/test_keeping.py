import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

import pytest
import soundfile
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.errors import AskedWrongly
from callcenter.recordings import audio, keeping, spool, store
from callcenter.recordings.formats import Format
from callcenter.recordings.keeping import Keeper
from callcenter.recordings.opening import open_recording
from callcenter.recordings.vault import Vault
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
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
def tools(settings: Settings, engine: AsyncEngine) -> Tools:
    settings.spool.mkdir(parents=True)
    return Tools(settings, engine)


async def keep(tools: Tools) -> None:
    """What a worker does that has just been started, until nothing is due."""
    keeper = Keeper(tools.settings, tools.engine)
    await keeper.tidy()
    while await keeper.keep_closed():
        pass


async def recorded(tools: Tools, content: bytes | None = AUDIO, *, close: bool = True) -> UUID:
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
async def worker(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker, killed at the end."""
    process = await asyncio.create_subprocess_exec(*CALLCENTER, "worker", env=environment(settings))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def kept_by_workers(tools: Tools, recording_id: UUID) -> None:
    async with asyncio.timeout(20):
        while (await row_of(tools, recording_id)).state != "stored":
            await asyncio.sleep(0.05)


async def row_of(tools: Tools, recording_id: UUID) -> store.RecordingRow:
    async with unit_of_work(tools.engine) as connection:
        row = await store.find(connection, recording_id)
    assert row is not None
    return row


async def is_kept(tools: Tools, recording_id: UUID) -> None:
    row = await row_of(tools, recording_id)
    assert row.state == "stored"
    assert row.store_name == f"2026/02/28/{recording_id}.flac.age"
    target = tools.settings.recordings / row.store_name
    sealed = target.read_bytes()
    assert (row.sha256, row.bytes) == (sha256(sealed).hexdigest(), len(sealed))
    assert target.stat().st_mode & 0o777 == 0o600
    assert row.duration_ms == 64_000
    async with unit_of_work(tools.engine) as connection:
        opened = await open_recording(connection, Vault(tools.settings), recording_id)
    with opened.audio as audio:
        file = audio.read()
    assert (row.audio_sha256, row.audio_bytes) == (sha256(file).hexdigest(), len(file))
    sound, _ = soundfile.read(BytesIO(file), dtype="int16")
    assert sound.tobytes() == AUDIO
    assert list(tools.settings.spool.iterdir()) == []
    assert [path.name for path in target.parent.iterdir()] == [target.name]


async def test_a_closed_recording_is_kept_and_its_raw_file_removed(tools: Tools) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    await is_kept(tools, recording_id)


async def test_keeping_twice_is_keeping_once(tools: Tools) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    before = await row_of(tools, recording_id)
    await keep(tools)
    assert await row_of(tools, recording_id) == before
    await is_kept(tools, recording_id)


async def test_a_file_that_is_still_written_waits_and_is_kept_whole(tools: Tools) -> None:
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
    await is_kept(tools, recording_id)


async def test_what_the_store_does_not_keep_as_it_was_put_is_put_again(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
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
    await is_kept(tools, recording_id)


async def test_many_recordings_are_kept_in_rounds_and_a_bad_one_holds_up_none(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "BATCH", 3)
    bad = [await recorded(tools) for _ in range(4)]
    for each in bad:
        (tools.settings.recordings / f"2026/02/28/{each}.flac.age").mkdir(parents=True)
    good = [await recorded(tools) for _ in range(7)]
    keeper = Keeper(tools.settings, tools.engine)
    while await keeper.keep_closed():
        pass
    assert {(await row_of(tools, each)).state for each in good} == {"stored"}
    assert {(await row_of(tools, each)).state for each in bad} == {"closed"}
    left = {file.name for file in tools.settings.spool.iterdir()}
    assert left == {f"{each}.raw" for each in bad}


async def test_what_could_not_be_kept_is_tried_again(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await recorded(tools)
    hindrance = tools.settings.recordings / f"2026/02/28/{recording_id}.flac.age"
    hindrance.mkdir(parents=True)
    monkeypatch.setattr(keeping, "LAST_DELAY", 0.0)
    keeper = Keeper(tools.settings, tools.engine)
    for _ in range(3):
        assert await keeper.keep_closed()
    assert (await row_of(tools, recording_id)).state == "closed"
    hindrance.rmdir()
    assert await keeper.keep_closed()
    await is_kept(tools, recording_id)


async def test_encoding_gives_way_to_calls_and_the_rest_of_the_worker_does_not(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(tools)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    nice = []
    encode = audio.encode

    def encode_and_tell(raw: Path, target: BinaryIO, written: Format) -> int:
        nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return encode(raw, target, written)

    monkeypatch.setattr(audio, "encode", encode_and_tell)
    await keep(tools)
    assert nice[0] > own
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


async def test_one_worker_has_the_spool_and_another_takes_over_when_it_is_killed(
    tools: Tools,
) -> None:
    async with worker(tools.settings) as first:
        await kept_by_workers(tools, await recorded(tools))
        with pytest.raises(spool.Held), spool.held(tools.settings.spool):
            pass
        async with worker(tools.settings):
            first.kill()
            await kept_by_workers(tools, await recorded(tools))


async def test_a_stopped_keeper_has_let_go_of_everything(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that encodes has ended when the spool is free again."""
    for _ in range(3):
        await recorded(tools)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    encode = audio.encode

    def slow_encode(raw: Path, target: BinaryIO, written: Format) -> int:
        begun.set()
        assert go_on.wait(10)
        duration_ms = encode(raw, target, written)
        ended.set()
        return duration_ms

    monkeypatch.setattr(audio, "encode", slow_encode)
    running = asyncio.create_task(Keeper(tools.settings, tools.engine).run())
    assert await asyncio.to_thread(begun.wait, 10)
    running.cancel()
    await asyncio.sleep(0)
    with pytest.raises(spool.Held), spool.held(tools.settings.spool):
        pass
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
    with spool.held(tools.settings.spool):
        monkeypatch.undo()
        await keep(tools)
    assert list(tools.settings.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "missing"), (b"", "empty"), (b"\0" * 7, "partial")]
)
async def test_a_file_that_is_no_recording_fails_it_and_stays(
    tools: Tools, content: bytes | None, fault: str
) -> None:
    recording_id = await recorded(tools, content)
    for _ in range(2):
        await keep(tools)
    row = await row_of(tools, recording_id)
    assert (row.state, row.sha256) == ("failed", None)
    assert fault in (row.fault or "")
    left = [path.read_bytes() for path in tools.settings.spool.iterdir()]
    assert left == ([] if content is None else [content])


async def test_a_raw_file_is_not_removed_when_the_stored_one_was_altered(
    tools: Tools, caplog: pytest.LogCaptureFixture
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


async def test_an_open_recording_is_not_read(tools: Tools) -> None:
    recording_id = await recorded(tools, close=False)
    await keep(tools)
    assert (await row_of(tools, recording_id)).state == "recording"
    assert (tools.settings.spool / f"{recording_id}.raw").exists()


async def test_closing_again_moves_nothing(tools: Tools) -> None:
    recording_id = await recorded(tools)
    async with unit_of_work(tools.engine) as connection:
        await store.close(
            connection, recording_id=recording_id, ended_at=START + timedelta(hours=1)
        )
    row = await row_of(tools, recording_id)
    assert (row.state, row.ended_at) == ("closed", START)


async def test_a_path_is_no_spool_name(tools: Tools) -> None:
    async with unit_of_work(tools.engine) as connection:
        with pytest.raises(AskedWrongly, match="plain file name"):
            await store.begin(
                connection,
                recording_id=uuid4(),
                appeal_id=uuid4(),
                consultant_id=None,
                spool_name="../secret",
                started_at=START,
            )


async def test_the_worker_keeps_recordings_and_ends_on_sigterm(tools: Tools) -> None:
    async with worker(tools.settings) as process:
        recording_id = await recorded(tools)
        await kept_by_workers(tools, recording_id)
        process.terminate()
        assert await process.wait() == 0
    await is_kept(tools, recording_id)
