import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.recordings import flac, store
from callcenter.recordings.jobs import Altered, keep, look_for_lost
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, connected
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
# Runs the job and dies, as by SIGKILL, right after the named step returned for the nth time.
KEEP_UNTIL_KILLED = """
import asyncio, os, pkgutil, sys
from uuid import UUID
from callcenter.recordings.jobs import keep
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools

owner, _, name = sys.argv[1].rpartition(".")
owner = pkgutil.resolve_name(owner)
step = getattr(owner, name)
def die(result):
    os._exit(77)
def fatal(*args, **kwargs):
    result = step(*args, **kwargs)
    if asyncio.iscoroutine(result):
        async def fatal_later():
            die(await result)
        return fatal_later()
    die(result)
setattr(owner, name, fatal)
settings = read_settings()
asyncio.run(keep(Tools(settings, open_database(settings)), UUID(sys.argv[2])))
"""
STEPS = [
    "callcenter.recordings.jobs._read",
    "callcenter.recordings.flac.soundfile.SoundFile.write",
    "callcenter.recordings.flac._encode",
    "callcenter.recordings.flac._verify",
    "callcenter.recordings.flac.sha256_of",
    "callcenter.recordings.flac._sync",
    "callcenter.recordings.store.mark_stored",
    "callcenter.recordings.jobs._store",
    "callcenter.recordings.jobs._remove_raw",
]


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


async def recorded(tools: Tools, content: bytes | None = AUDIO, *, close: bool = True) -> UUID:
    """A recording that the switch has written."""
    recording_id, appeal_id = uuid4(), uuid4()
    name = f"{recording_id}.raw"
    if content is not None:
        (tools.settings.spool / name).write_bytes(content)
    async with unit_of_work(tools.engine) as connection:
        await appeals.open_appeal(
            connection,
            appeal_id=appeal_id,
            call_id=str(appeal_id),
            channel="call",
            caller_kind="withheld",
            caller_number=None,
            received_at=START,
        )
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


async def row_of(tools: Tools, recording_id: UUID) -> store.RecordingRow:
    async with unit_of_work(tools.engine) as connection:
        row = await store.find(connection, recording_id)
    assert row is not None
    return row


async def jobs_of(tools: Tools) -> list[tuple[str, str, str]]:
    async with unit_of_work(tools.engine) as connection:
        rows = await connection.execute(
            text("SELECT task_name, status, args ->> 'recording_id' FROM procrastinate_jobs")
        )
        return [(name, status, argument) for name, status, argument in rows]


async def is_kept(tools: Tools, recording_id: UUID) -> None:
    row = await row_of(tools, recording_id)
    assert row.state == "stored"
    assert row.store_name == f"2026/02/28/{recording_id}.flac"
    target = tools.settings.recordings / row.store_name
    assert (row.sha256, row.bytes) == (flac.sha256_of(target), target.stat().st_size)
    assert row.duration_ms == 64_000
    assert list(tools.settings.spool.iterdir()) == []
    assert [path.name for path in target.parent.iterdir()] == [target.name]


async def test_a_closed_recording_is_kept_and_its_raw_file_removed(tools: Tools) -> None:
    recording_id = await recorded(tools)
    await keep(tools, recording_id)
    await is_kept(tools, recording_id)


async def test_keeping_twice_is_keeping_once(tools: Tools) -> None:
    recording_id = await recorded(tools)
    await keep(tools, recording_id)
    before = await row_of(tools, recording_id)
    await keep(tools, recording_id)
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
        with pytest.raises(flac.StillWritten):
            await keep(tools, recording_id)
        assert (await row_of(tools, recording_id)).state == "closed"
    switch.stdin.close()
    assert await switch.wait() == 0
    await keep(tools, recording_id)
    await is_kept(tools, recording_id)


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_killed_after_any_step_loses_nothing(tools: Tools, step: str) -> None:
    recording_id = await recorded(tools)
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KEEP_UNTIL_KILLED,
        step,
        str(recording_id),
        env=environment(tools.settings),
    )
    assert await killed.wait() == 77
    await keep(tools, recording_id)
    await is_kept(tools, recording_id)


async def test_workers_that_keep_the_same_recording_do_no_harm(tools: Tools) -> None:
    recording_id = await recorded(tools)
    await asyncio.gather(*(keep(tools, recording_id) for _ in range(4)), return_exceptions=True)
    await keep(tools, recording_id)
    await is_kept(tools, recording_id)


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "missing"), (b"", "empty"), (b"\0" * 7, "partial")]
)
async def test_a_file_that_is_no_recording_fails_it_and_stays(
    tools: Tools, content: bytes | None, fault: str
) -> None:
    recording_id = await recorded(tools, content)
    for _ in range(2):
        await keep(tools, recording_id)
    row = await row_of(tools, recording_id)
    assert (row.state, row.sha256) == ("failed", None)
    assert fault in (row.fault or "")
    left = [path.read_bytes() for path in tools.settings.spool.iterdir()]
    assert left == ([] if content is None else [content])


async def test_a_raw_file_is_not_removed_when_the_stored_one_was_altered(tools: Tools) -> None:
    recording_id = await recorded(tools)
    raw = tools.settings.spool / (await row_of(tools, recording_id)).spool_name
    await keep(tools, recording_id)
    raw.write_bytes(AUDIO)
    stored = tools.settings.recordings / f"2026/02/28/{recording_id}.flac"
    stored.write_bytes(stored.read_bytes() + b"\0")
    with pytest.raises(Altered):
        await keep(tools, recording_id)
    assert raw.exists()


async def test_an_open_recording_is_not_read(tools: Tools) -> None:
    recording_id = await recorded(tools, close=False)
    with pytest.raises(WeFailed, match="not closed"):
        await keep(tools, recording_id)
    assert (await row_of(tools, recording_id)).state == "recording"


async def test_closing_twice_enqueues_one_job(tools: Tools) -> None:
    recording_id = await recorded(tools)
    async with unit_of_work(tools.engine) as connection:
        await store.close(connection, recording_id=recording_id, ended_at=START)
    assert await jobs_of(tools) == [("recordings.keep", "todo", str(recording_id))]


async def test_a_rolled_back_closing_leaves_no_job(tools: Tools) -> None:
    recording_id = await recorded(tools, close=False)

    async def close_and_fail() -> None:
        async with unit_of_work(tools.engine) as connection:
            await store.close(connection, recording_id=recording_id, ended_at=START)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await close_and_fail()
    assert await jobs_of(tools) == []
    assert (await row_of(tools, recording_id)).state == "recording"


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


async def test_a_recording_that_lost_its_job_gets_one(tools: Tools) -> None:
    recording_id = await recorded(tools)
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("DELETE FROM procrastinate_jobs"))
    for later in (timedelta(seconds=59), timedelta(seconds=61), timedelta(seconds=62)):
        async with unit_of_work(tools.engine) as connection:
            await look_for_lost(connection, START + later)
        expected = [] if later < timedelta(minutes=1) else [str(recording_id)]
        assert [argument for _, _, argument in await jobs_of(tools)] == expected


async def test_a_job_of_a_worker_that_died_is_done_by_another(tools: Tools) -> None:
    await recorded(tools)
    async with unit_of_work(tools.engine) as connection:
        # As it is left when a worker is gone and another has noticed that it has no heartbeat.
        await connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    async with connected(tools.settings) as app:
        await app.configure_task("jobs.rescue").defer_async(timestamp=0)
        await app.run_worker_async(
            wait=False, install_signal_handlers=False, additional_context={"tools": tools}
        )
        await app.run_worker_async(
            wait=False, install_signal_handlers=False, additional_context={"tools": tools}
        )
    statuses = {name: status for name, status, _ in await jobs_of(tools)}
    assert statuses["recordings.keep"] == "succeeded"


async def test_the_worker_keeps_recordings_and_ends_on_sigterm(tools: Tools) -> None:
    recording_id = await recorded(tools)
    worker = await asyncio.create_subprocess_exec(
        *CALLCENTER, "worker", env=environment(tools.settings)
    )
    try:
        async with asyncio.timeout(20):
            while (await row_of(tools, recording_id)).state != "stored":
                assert worker.returncode is None
                await asyncio.sleep(0.05)
            worker.terminate()
            assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    await is_kept(tools, recording_id)
