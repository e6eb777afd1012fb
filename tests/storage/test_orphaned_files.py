"""Recorded files that no row knows, in a real spool and a real PostgreSQL."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import EventRow
from callcenter.consultants import store as consultants
from callcenter.platform.core.caller_id import UNREADABLE
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.spool import name_for
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.recordings.store import RecordingRow
from callcenter.telephony.reconciliation import orphaned_files
from callcenter.telephony.reconciliation import store as cel_log
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.appeals import opened

CALL = "1795534963.0"
SOME = UUID(int=111)  # names of tests are the same in every process that runs them
TEN_SECONDS = bytes(range(256)) * 1250
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(hours=1)
# Has a file open for writing until its input ends.
WRITER = "import sys; file = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    settings.spool.mkdir(parents=True)
    return WorkerResources(settings, engine)


def left(tools: WorkerResources, name: str, at: datetime = LONG_AGO) -> Path:
    """A file into which the switch wrote its last sound then."""
    file = tools.settings.spool / name
    file.write_bytes(TEN_SECONDS)
    os.utime(file, (at.timestamp(), at.timestamp()))
    return file


async def appeal(
    tools: WorkerResources, outcome: str | None = "talked", consultant: UUID | None = None
) -> UUID:
    """The appeal of the call, as far as its controller wrote it before it was killed."""
    async with unit_of_work(tools.engine) as connection:
        appeal_id = await opened(connection, LONG_AGO, call_id=CALL)
        await appeals.add_events(connection, [EventRow(appeal_id, 1, LONG_AGO, "received", {})])
        if consultant is not None:
            await appeals.set_consultant(connection, appeal_id=appeal_id, consultant_id=consultant)
        if outcome is not None:
            await appeals.close_appeal(
                connection, appeal_id=appeal_id, outcome=outcome, ended_at=LONG_AGO
            )
    return appeal_id


async def state(
    tools: WorkerResources, appeal_id: UUID
) -> tuple[list[RecordingRow], list[EventRow]]:
    async with unit_of_work(tools.engine) as connection:
        return (
            await recordings.of_appeal(connection, appeal_id),
            await appeals.events(connection, appeal_id),
        )


async def found(tools: WorkerResources) -> list[str]:
    async with unit_of_work(tools.engine) as connection:
        return [
            each.name for each in await orphaned_files.find(connection, tools.settings.spool, NOW)
        ]


async def test_a_file_is_given_to_the_call_it_names(
    tools: WorkerResources,
) -> None:
    async with unit_of_work(tools.engine) as connection:
        who = (
            await consultants.add(
                connection, extension="1001", name="Aigul", languages=["kk"], digest="0" * 32
            )
        ).id
    recording_id = uuid4()
    file = left(tools, name_for(CALL, recording_id))
    appeal_id = await appeal(tools, consultant=who)
    for _ in range(2):
        await account_for_calls(tools)
        ((recording,), events) = await state(tools, appeal_id)
        assert (recording.id, recording.state) == (recording_id, "closed")
        assert (recording.started_at, recording.ended_at) == (
            LONG_AGO - timedelta(seconds=10),
            LONG_AGO,
        )
        assert recording.consultant_id == who
        assert [event.kind for event in events] == [
            "received",
            "recording_started",
            "recording_stopped",
        ]
        assert events[-1].detail == {"recording": str(recording_id), "how": "recovered"}
    assert await SealingWorker(tools.settings, tools.engine).seal_closed()
    ((recording,), _) = await state(tools, appeal_id)
    assert (recording.state, recording.duration_ms) == ("stored", 10_000)
    assert not file.exists()


async def test_two_files_of_one_call_are_two_recordings(tools: WorkerResources) -> None:
    for _ in range(2):
        left(tools, name_for(CALL, uuid4()))
    appeal_id = await appeal(tools)
    await account_for_calls(tools)
    found_recordings, events = await state(tools, appeal_id)
    assert len(found_recordings) == 2
    assert len(events) == 5


async def test_a_file_waits_while_its_call_goes_on(tools: WorkerResources) -> None:
    left(tools, name_for(CALL, uuid4()))
    appeal_id = await appeal(tools, outcome=None)
    assert await found(tools) == []
    await account_for_calls(tools)
    assert (await state(tools, appeal_id))[0] == []


@pytest.mark.parametrize("name", [name_for(CALL, SOME), f"fallback-{CALL}.raw"])
async def test_a_file_waits_for_its_calls_registration_by_cel(
    tools: WorkerResources, name: str
) -> None:
    left(tools, name)
    call = FallbackCall(CALL, UNREADABLE, received_at=LONG_AGO, last_at=LONG_AGO)
    async with unit_of_work(tools.engine) as connection:
        await cel_log.save(connection, [call])
    assert await found(tools) == []
    async with unit_of_work(tools.engine) as connection:
        await cel_log.drop(connection, [CALL])
    assert await found(tools) == [name]


@pytest.mark.parametrize("name", [f"{SOME}.raw", name_for("9.9", SOME), "odd.raw", "-.raw"])
async def test_a_file_of_an_unproved_call_stays_and_is_reported(
    tools: WorkerResources, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = left(tools, name)
    appeal_id = await appeal(tools)
    await account_for_calls(tools)
    assert (await state(tools, appeal_id))[0] == []
    assert file.exists()
    assert f"recorded files without a call: 1: {name}" in caplog.text


async def test_a_file_beside_another_recording_is_reported(
    tools: WorkerResources, caplog: pytest.LogCaptureFixture
) -> None:
    recording_id, appeal_id = uuid4(), await appeal(tools)
    async with unit_of_work(tools.engine) as connection:
        await recordings.begin(
            connection,
            recording_id=recording_id,
            appeal_id=appeal_id,
            consultant_id=None,
            spool_name="other.raw",
            started_at=LONG_AGO,
        )
    before = await state(tools, appeal_id)
    left(tools, name_for(CALL, recording_id))
    await account_for_calls(tools)
    assert await state(tools, appeal_id) == before
    assert "recorded files without a call" in caplog.text


async def test_a_file_that_may_still_be_registered_is_left(tools: WorkerResources) -> None:
    left(tools, name_for(CALL, uuid4()), NOW - orphaned_files.QUIET_AFTER + timedelta(seconds=1))
    written = left(tools, name_for(CALL, uuid4()))
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, written),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    await writer.stdout.readline()
    assert await found(tools) == []
    writer.stdin.close()
    assert await writer.wait() == 0
    assert await found(tools) == [written.name]


async def test_whatever_else_lies_there_is_reported_and_hinders_nothing(
    tools: WorkerResources, caplog: pytest.LogCaptureFixture
) -> None:
    folder, long_ago = tools.settings.spool, (LONG_AGO.timestamp(),) * 2
    foreign = {"notes.txt", "\\udcff.raw", "folder.raw", "pipe.raw", "link.raw", "tomorrow.raw"}
    left(tools, "notes.txt")
    left(tools, os.fsdecode(b"\xff.raw"))  # no text in any encoding
    left(tools, "tomorrow.raw", NOW + timedelta(days=1))  # before the clock was put back
    (folder / "folder.raw").mkdir()
    os.mkfifo(folder / "pipe.raw")
    (folder / "link.raw").symlink_to("/nowhere")
    for name in ("folder.raw", "pipe.raw", "link.raw"):
        os.utime(folder / name, long_ago, follow_symlinks=False)
    good = left(tools, name_for(CALL, uuid4()))
    appeal_id = await appeal(tools)
    assert set(await found(tools)) == {*foreign, good.name}
    await account_for_calls(tools)
    assert "recorded files without a call: 6" in caplog.text
    worker = SealingWorker(tools.settings, tools.engine)
    await worker.tidy()
    assert await worker.seal_closed()
    ((recording,), _) = await state(tools, appeal_id)
    assert recording.state == "stored"
    assert len(os.listdir(folder)) == len(foreign)
