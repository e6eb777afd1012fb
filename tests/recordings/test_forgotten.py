"""Recordings that the database has forgotten, since it went back in time after they were sealed."""

import asyncio
import shutil
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID, uuid4

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import text

from callcenter.appeals.calls import store as appeals
from callcenter.cli import callcenter
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.sealing import keys, spool
from callcenter.recordings.sealing.sealed_store import SealedStore, name_for
from callcenter.recordings.sealing.tag import RecordingTag
from callcenter.recordings.store import RecordingRow
from callcenter.telephony.reconciliation import loader
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.repair import repair_discrepancies
from callcenter.telephony.reconciliation.rules import DiscrepancyKind, find
from tests.appeals import opened
from tests.recordings.test_sealing_worker import (
    START,
    environment,
    is_stored,
    keep,
    recorded,
    row_of,
    tools,
)

__all__ = ["tools"]

FILE_WITHOUT_RECORDING = DiscrepancyKind.FILE_WITHOUT_RECORDING
BACK = text(
    "UPDATE recording SET state = 'closed', store_name = NULL, sha256 = NULL, bytes = NULL,"
    " audio_sha256 = NULL, audio_bytes = NULL, sealed_to = NULL, sealed_at = NULL,"
    " duration_ms = NULL, copied_at = NULL WHERE id = :id"
)


async def go_back(tools: WorkerResources, recording_id: UUID) -> None:
    """Have the row be as it was before sealing; the raw file stays removed."""
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(BACK, {"id": recording_id})


def but_when(row: RecordingRow) -> dict[str, object]:
    return asdict(row) | {"sealed_at": None}


def with_copies(tools: WorkerResources) -> Settings:
    return tools.settings.model_copy(
        update={"recordings_copy": SecretStr(str(tools.settings.var / "second"))}
    )


async def test_a_sealed_recording_never_fails_after_a_failover(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    before = await row_of(tools, recording_id)
    await go_back(tools, recording_id)
    keys.make(tools.settings.keys)  # the row says which key it was sealed to
    await keep(tools)
    assert but_when(await row_of(tools, recording_id)) == but_when(before)
    await is_stored(tools, recording_id)


async def test_it_is_found_in_the_format_of_then(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    await go_back(tools, recording_id)
    opus = tools.settings.model_copy(update={"recordings_format": "opus"})
    await keep(WorkerResources(opus, tools.engine))
    await is_stored(tools, recording_id)


@pytest.mark.parametrize("first", ["missing", "altered"])
async def test_it_is_taken_from_the_second_store(tools: WorkerResources, first: str) -> None:
    tools = WorkerResources(with_copies(tools), tools.engine)
    recording_id = await recorded(tools)
    await keep(tools)
    name = (await row_of(tools, recording_id)).store_name or ""
    sealed, copy = tools.settings.recordings / name, tools.settings.var / "second" / name
    copy.parent.mkdir(parents=True)
    shutil.copy(sealed, copy)
    sealed.unlink() if first == "missing" else sealed.write_bytes(sealed.read_bytes()[:-1])
    await go_back(tools, recording_id)
    await keep(tools)
    await is_stored(tools, recording_id)


async def test_one_that_does_not_open_waits(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    sealed = tools.settings.recordings / ((await row_of(tools, recording_id)).store_name or "")
    content = sealed.read_bytes()
    sealed.write_bytes(content[:-1])
    await go_back(tools, recording_id)
    await keep(tools)
    assert (await row_of(tools, recording_id)).state == "closed"
    sealed.write_bytes(content)
    await keep(tools)
    await is_stored(tools, recording_id)


async def test_another_recordings_object_is_not_taken(tools: WorkerResources) -> None:
    one, other = await recorded(tools), await recorded(tools)
    await keep(tools)
    mine, theirs = [
        tools.settings.recordings / ((await row_of(tools, each)).store_name or "")
        for each in (one, other)
    ]
    shutil.copy(theirs, mine)
    await go_back(tools, one)
    await keep(tools)
    assert (await row_of(tools, one)).state == "closed"


async def lose(tools: WorkerResources, *tables: str) -> None:
    """Have these rows be gone, as if they had been written after the moment of the restore."""
    async with unit_of_work(tools.engine) as connection:
        for table in tables:
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608


async def mend(tools: WorkerResources) -> list[str]:
    """What the night leaves to people, of all that began since the recordings did."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    cel_log = cel_file_of(tools.settings)
    snapshot = await loader.load_snapshot(
        tools.settings, tools.engine, cel_log, since=START, until=now, live_channels=set()
    )
    found = [each for each in find(snapshot) if each.kind is FILE_WITHOUT_RECORDING]
    repaired = await repair_discrepancies(tools, cel_log, found)
    return [each.subject for each in found if each not in repaired]


async def entries(tools: WorkerResources) -> list[tuple[str, ...]]:
    query = text("SELECT who, action, subject, detail ->> 'appeal' FROM audit_entry ORDER BY id")
    async with unit_of_work(tools.engine) as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def test_the_night_attributes_a_recording_whose_row_is_lost(tools: WorkerResources) -> None:
    recording_id = await recorded(tools)
    await keep(tools)
    before = await row_of(tools, recording_id)
    await lose(tools, "recording")
    assert await mend(tools) == []
    assert but_when(await row_of(tools, recording_id)) == but_when(before)
    await is_stored(tools, recording_id)
    adopted = ("system:reconciliation", "command:recording:adopted")
    expected = [(*adopted, f"recording:{recording_id}", str(before.appeal_id))]
    assert await entries(tools) == expected
    assert await mend(tools) == []
    assert await entries(tools) == expected
    async with unit_of_work(tools.engine) as connection:
        events = await appeals.events(connection, before.appeal_id)
    assert [(event.kind, event.detail["how"]) for event in events] == [
        ("recording_started", "recovered"),
        ("recording_stopped", "recovered"),
    ]


async def test_what_cannot_be_attributed_is_left_to_people(tools: WorkerResources) -> None:
    await recorded(tools)
    await keep(tools)
    await lose(tools, "recording", "appeal")
    sound, old = BytesIO(), name_for(uuid4(), START)
    soundfile.write(sound, np.zeros((8000, 2), "<i2"), 8000, format="FLAC")
    SealedStore(tools.settings).seal(sound, old)
    left = await mend(tools)
    assert len(left) == 2
    assert old in left
    assert await entries(tools) == []


async def test_adopt_finds_the_call_when_the_appeal_is_lost(
    tools: WorkerResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment(tools.settings).items():
        monkeypatch.setenv(key, value)

    async def adopt() -> tuple[str, str]:
        arguments = ["recordings", "adopt", "--since", "2026-02-28"]
        done = await asyncio.to_thread(CliRunner().invoke, callcenter, arguments)
        assert done.exception is None or isinstance(done.exception, CallcenterError), done.exception
        return done.output, str(done.exception or "")

    recording_id, call_id = await recorded(tools), "1795534963.0"
    file = spool.name_for(call_id, recording_id)
    (tools.settings.spool / f"{recording_id}.raw").rename(tools.settings.spool / file)
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("UPDATE recording SET spool_name = :name"), {"name": file})
    await keep(tools)
    await lose(tools, "recording", "appeal")
    said, failure = await adopt()
    assert f"nor call {call_id}" in said
    assert failure.startswith("1 objects belong to no recording")
    async with unit_of_work(tools.engine) as connection:  # as CEL has it opened again
        appeal_id = await opened(connection, START, call_id=call_id)
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome="talked", ended_at=START
        )
    said, failure = await adopt()
    assert f"ADOPTED: appeal {appeal_id}" in said
    assert failure == ""
    assert (await row_of(tools, recording_id)).appeal_id == appeal_id
    await is_stored(tools, recording_id)
    assert [each[1:3] for each in await entries(tools)] == [
        ("command:recording:adopted", f"recording:{recording_id}")
    ]
    assert await adopt() == ("every recording of the store is in the register\n", "")


def test_a_tag_of_today_is_read_for_ever() -> None:
    written = (
        '{"recording_id":"00000000-0000-0000-0000-000000000001",'
        '"appeal_id":"00000000-0000-0000-0000-000000000002","consultant_id":null,'
        '"spool_name":"1795534963.0-00000000-0000-0000-0000-000000000001.raw",'
        '"started_at":"2026-11-27T08:00:00.250000Z","ended_at":"2026-11-27T08:01:00Z"}'
    )
    tag = RecordingTag.parse(written)
    assert tag is not None
    assert tag.comment == written
    assert (tag.recording_id.int, tag.appeal_id.int) == (1, 2)
    for none in ("", "some words", "{}", "[1]"):
        assert RecordingTag.parse(none) is None
