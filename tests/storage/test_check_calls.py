"""The register compared with the switch's files and the recorded ones, on a real PostgreSQL."""

import asyncio
import gzip
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from callcenter.appeals import store as appeals
from callcenter.appeals.store import EventRow
from callcenter.cli import callcenter
from callcenter.consultants.alarms import Alarm
from callcenter.errors import AskedWrongly, NotReady, WeFailed
from callcenter.ledger.differences import Kind
from callcenter.ledger.files import ledger_of
from callcenter.ledger.jobs import CHECK
from callcenter.recordings import store as recordings
from callcenter.recordings.keeping import Keeper
from callcenter.recordings.spool import name_for
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, connected, enqueue_once
from callcenter.up.ports import free_port
from tests.storage.checked import (
    BEGAN,
    CAME_IN,
    DIALLED,
    IN,
    NOT_REACHED,
    SOME,
    WENT_OUT,
    World,
    at,
    make_world,
)


@pytest_asyncio.fixture
async def world(tools: Tools) -> World:
    return await make_world(tools)


async def test_what_agrees_has_no_difference_before_recordings_are_kept_and_after(
    world: World,
) -> None:
    assert await world.found() == []
    assert await Keeper(world.tools.settings, world.tools.engine).keep_closed()
    assert list(world.tools.settings.spool.iterdir()) == []
    assert await world.found() == []


async def test_the_ledger_is_read_from_all_its_files_packed_or_not(world: World) -> None:
    ledger = ledger_of(world.tools.settings)
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.with_name("ledger.jsonl.2.gz").write_bytes(gzip.compress(b"".join(lines[:8])))
    ledger.with_name("ledger.jsonl.1").write_bytes(b"".join(lines[8:15]))
    ledger.write_bytes(b"".join(lines[15:]) + b'{"half')
    assert await world.found() == []
    ledger.with_name("ledger.jsonl.1").unlink()
    assert await world.found() != []


async def test_a_packed_file_that_is_broken_is_an_error_and_never_an_agreement(
    world: World,
) -> None:
    packed = ledger_of(world.tools.settings).with_name("ledger.jsonl.2.gz")
    packed.write_bytes(gzip.compress(CAME_IN)[:-9])
    with pytest.raises(WeFailed, match="cannot read the switch's ledger"):
        await world.check()


async def test_lines_that_cannot_be_read_are_a_difference(world: World) -> None:
    world.write(b"garbage\n" + b"x" * 200_000 + b"\n")
    assert await world.found() == [(Kind.LINES_UNREADABLE, "ledger")]
    assert await world.mend() == []


async def test_a_call_that_nobody_wrote_down_is_found_and_gets_its_appeal(world: World) -> None:
    await world.sql("DELETE FROM recording")
    await world.sql("DELETE FROM appeal")
    found = await world.found()
    assert found[:3] == [(Kind.CALL_WITHOUT_APPEAL, each) for each in (IN, DIALLED, NOT_REACHED)]
    assert {kind for kind, _ in found[3:]} == {Kind.FILE_WITHOUT_RECORDING}
    _, mended = await world.check(mending=True)
    assert [(each.kind, each.subject) for each in mended] == [
        (Kind.CALL_WITHOUT_APPEAL, IN),
        (Kind.FILE_WITHOUT_RECORDING, name_for(IN, world.recording)),
    ]
    moments = await world.moments()
    assert ("mended", "call without appeal") in moments
    assert ("mended", "file without recording") in moments
    async with unit_of_work(world.tools.engine) as connection:
        row = await appeals.of_call(connection, IN)
        assert row is not None
        (recording,) = await recordings.of_appeal(connection, row.id)
    assert (row.received_at, row.ended_at) == (at(0), at(20))
    assert recording.id == world.recording
    left = await world.found()
    assert [each for each in left if each[1] in (IN, str(world.recording))] == []


async def test_a_file_that_its_controller_never_registered_is_given_to_its_call(
    world: World,
) -> None:
    await world.sql("DELETE FROM recording WHERE id = :id", id=world.recording)
    assert await world.found() == [
        (Kind.CONVERSATION_WITHOUT_RECORDING, IN),
        (Kind.FILE_WITHOUT_RECORDING, name_for(IN, world.recording)),
    ]
    await world.check(mending=True)
    assert ("mended", "file without recording") in await world.moments()
    assert await world.found() == []


@pytest.mark.parametrize("ordinal", [0, 1])
async def test_an_end_that_is_off_is_put_right_and_marked(world: World, ordinal: int) -> None:
    if ordinal:
        await world.sql("UPDATE outgoing_call SET ended_at = :at WHERE ordinal = 1", at=at(140))
    else:
        await world.sql("UPDATE appeal SET ended_at = :at", at=at(90))
    assert await world.found() == [(Kind.END_DISAGREES, DIALLED if ordinal else IN)]
    assert await world.mend() == [Kind.END_DISAGREES]
    assert ("mended", "end disagrees") in await world.moments()
    assert await world.found() == []


async def test_a_recording_that_was_closed_after_its_call_ended_is_put_right(world: World) -> None:
    await world.sql(
        "UPDATE recording SET started_at = :began, ended_at = :ended WHERE id = :id",
        id=world.recording,
        began=at(8),
        ended=at(48),
    )
    assert await world.found() == [(Kind.RECORDING_TOO_LATE, str(world.recording))]
    assert await world.mend() == [Kind.RECORDING_TOO_LATE]
    assert ("mended", "recording ends too late") in await world.moments()
    assert await world.found() == []


async def test_a_conversation_that_the_journal_lacks_is_put_down(world: World) -> None:
    await world.sql("DELETE FROM appeal_event WHERE seq = 2")
    assert await world.found() == [(Kind.CONVERSATION_WITHOUT_MOMENT, IN)]
    assert await world.mend() == [Kind.CONVERSATION_WITHOUT_MOMENT]
    assert await world.moments() == [
        ("received", None),
        ("connected", None),
        ("mended", "conversation without moment"),
        ("connected", None),
    ]


Alter = Callable[[World], Awaitable[None]]


async def no_lines(world: World) -> None:
    ledger_of(world.tools.settings).write_bytes(WENT_OUT)


async def file_gone(world: World) -> None:
    (world.tools.settings.spool / name_for(IN, world.recording)).unlink()


async def file_cut(world: World) -> None:
    world.spool(name_for(IN, world.recording))
    os.truncate(world.tools.settings.spool / name_for(IN, world.recording), 160_000)


async def failed(world: World) -> None:
    await world.sql("UPDATE recording SET state = 'failed' WHERE id = :id", id=world.recording)


async def another_recording(world: World) -> None:
    await world.sql(
        "INSERT INTO recording (id, appeal_id, spool_name, state, started_at, ended_at)"
        " VALUES (:id, :appeal, 'odd.raw', 'closed', :began, :ended)",
        id=SOME,
        appeal=world.appeal,
        began=at(40),
        ended=at(50),
    )
    world.spool("odd.raw", 50)


async def begun_before(world: World) -> None:
    await world.sql("UPDATE appeal SET received_at = :at", at=at(-30))


async def made_up(world: World) -> None:
    async with unit_of_work(world.tools.engine) as connection:
        await appeals.add_events(connection, [EventRow(world.appeal, 3, at(2), "connected", {})])


async def odd_file(world: World) -> None:
    world.spool("odd.raw")


async def odd_stored(world: World) -> None:
    folder = world.tools.settings.recordings / f"{BEGAN:%Y/%m/%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{SOME}.flac.age").write_bytes(b"age")


async def never_ended(world: World) -> None:
    await world.sql("UPDATE appeal SET ended_at = NULL, outcome = NULL")


@pytest.mark.parametrize(
    ("alter", "kinds"),
    [
        (
            no_lines,
            [Kind.APPEAL_WITHOUT_CALL, Kind.RECORDING_WITHOUT_CONVERSATION],
        ),
        (file_gone, [Kind.CONVERSATION_WITHOUT_RECORDING, Kind.RECORDING_WITHOUT_FILE]),
        (file_cut, [Kind.TIMES_DISAGREE]),
        (failed, [Kind.CONVERSATION_WITHOUT_RECORDING]),
        (another_recording, [Kind.RECORDING_WITHOUT_CONVERSATION]),
        (begun_before, [Kind.TIMES_DISAGREE]),
        (made_up, [Kind.MOMENT_WITHOUT_CONVERSATION]),
        (odd_file, [Kind.FILE_WITHOUT_RECORDING]),
        (odd_stored, [Kind.FILE_WITHOUT_RECORDING]),
        (never_ended, [Kind.TIMES_DISAGREE]),
    ],
)
async def test_what_the_switch_cannot_mend_is_found_and_left_for_people(
    world: World, alter: Alter, kinds: Sequence[Kind]
) -> None:
    await alter(world)
    assert [kind for kind, _ in await world.found()] == kinds
    assert await world.mend() == []


async def check(tools: Tools) -> None:
    """As a worker does by night, and after a recovery."""
    async with connected(tools.settings) as app:
        async with unit_of_work(tools.engine) as connection:
            await enqueue_once(connection, CHECK)
        await app.run_worker_async(
            wait=False,
            install_signal_handlers=False,
            delete_jobs="never",
            additional_context={"tools": tools},
        )


async def alarmed(redis: Redis) -> list[str]:
    """What supervisors were told of the ledger since this was asked last.

    At the turn of a minute such a worker does what is due besides, and may tell of recordings.
    """
    alarms = await redis.lrange("desk:alarms", 0, -1)
    await redis.delete("desk:alarms")
    kinds = [json.loads(each)["kind"] for each in alarms]
    return [kind for kind in kinds if kind != Alarm.RECORDINGS_WAIT]


async def test_every_night_what_can_be_is_mended_and_the_rest_alarmed(
    redis: Redis, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await check(world.tools)
    assert await alarmed(redis) == []
    await world.sql("UPDATE appeal SET ended_at = :at", at=at(90))
    await check(world.tools)
    assert await alarmed(redis) == []  # it was mended
    world.spool("odd.raw")
    await check(world.tools)
    assert await alarmed(redis) == ["ledger_differs"]
    await check(world.tools)
    assert await alarmed(redis) == []  # of this one somebody was told
    told = {(each.levelname, each.message.partition(":")[0]) for each in caplog.records}
    assert ("WARNING", "mended") in told
    assert ("CRITICAL", "file without recording odd.raw") in told
    assert "1 differences need you" in caplog.text
    assert await world.found() == [(Kind.FILE_WITHOUT_RECORDING, "odd.raw")]


async def test_that_nothing_could_be_compared_is_alarmed_too(redis: Redis, world: World) -> None:
    packed = ledger_of(world.tools.settings).with_name("ledger.jsonl.2.gz")
    packed.write_bytes(gzip.compress(b"{}")[:-4])
    await check(world.tools)
    assert await alarmed(redis) == ["ledger_differs"]


def run(*words: str) -> Result:
    return CliRunner().invoke(callcenter, ["check", "calls", *words])


async def test_a_database_without_tables_is_said_so(
    empty_database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", empty_database)
    monkeypatch.setenv("CALLCENTER_VAR", str(settings.var))
    monkeypatch.setenv("CALLCENTER_AMI_PORT", str(free_port()))
    said = await asyncio.to_thread(run)
    assert isinstance(said.exception, NotReady)
    assert "callcenter migrate" in str(said.exception)


async def test_the_command_lists_mends_and_tells_by_its_exit_status(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = world.tools
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", tools.settings.database)
    monkeypatch.setenv("CALLCENTER_VAR", str(tools.settings.var))
    monkeypatch.setenv("CALLCENTER_RECORDINGS", str(tools.settings.recordings))
    monkeypatch.setenv("CALLCENTER_AMI_PORT", str(tools.settings.ami_port))
    clean = await asyncio.to_thread(run)
    assert clean.exit_code == 0
    assert clean.output.startswith("no differences left from ")
    await world.sql("UPDATE appeal SET ended_at = :at", at=at(90))
    found = await asyncio.to_thread(run)
    assert re.search(rf"^DIFFERS end disagrees +{re.escape(IN)}  ended at ", found.output)
    assert isinstance(found.exception, WeFailed)
    yesterday = f"{datetime.now(UTC) - timedelta(days=9):%Y-%m-%d}"
    earlier = await asyncio.to_thread(run, "--to", yesterday)
    assert earlier.exit_code == 0
    mended = await asyncio.to_thread(run, "--mend")
    assert mended.output.startswith("mended  end disagrees")
    assert mended.exit_code == 0
    later = await asyncio.to_thread(run, "--from", "2099-01-01")
    assert isinstance(later.exception, AskedWrongly)
