"""The register compared with the switch's files and the recorded ones, on a real PostgreSQL."""

import asyncio
import gzip
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from redis.asyncio import Redis
from sqlalchemy import text

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import EventRow
from callcenter.cli import callcenter
from callcenter.consultants import store as consultants
from callcenter.launcher.port_check import free_port
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, connected, enqueue_once
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.spool import name_for
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.telephony.calls.journal.events import CallClosed, CallOpened
from callcenter.telephony.calls.journal.spool import JournalSpool
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import CHECK, account_for_calls
from callcenter.telephony.reconciliation.repair import repair_discrepancies
from callcenter.telephony.reconciliation.rules import DiscrepancyKind
from callcenter.worker.alerts import RECORDINGS_WAIT
from tests.appeals import opened
from tests.storage.checked import (
    BEGAN,
    CALLER,
    CAME_IN,
    CONSULTANT,
    DIALLED,
    IN,
    NETWORK,
    NOT_REACHED,
    SOME,
    WENT_OUT,
    CheckedCalls,
    at,
    line,
    make_checked_calls,
    talk,
)

ANOTHER, CENTER = "1795600300.4", "PJSIP/unified-center-0000000d"
NOT_ENDED = [DiscrepancyKind.CALL_NOT_ENDED, DiscrepancyKind.RECORDING_NOT_ENDED]


@pytest_asyncio.fixture
async def checked(tools: WorkerResources) -> CheckedCalls:
    return await make_checked_calls(tools)


async def go_on(checked: CheckedCalls) -> None:
    """Have the first call be in progress, as after a restore of a backup beside it."""
    await checked.sql("UPDATE appeal SET ended_at = NULL, outcome = NULL")
    began = "UPDATE recording SET ended_at = NULL, state = 'recording' WHERE id = :id"
    await checked.sql(began, id=checked.recording)


async def ends(checked: CheckedCalls, appeal_id: UUID) -> list[tuple[str, datetime]]:
    """Outcome and end of an appeal, and of each call of ours about it."""
    async with unit_of_work(checked.tools.engine) as connection:
        found = await connection.execute(
            text(
                "SELECT outcome, ended_at FROM (SELECT 0 AS ordinal, outcome, ended_at FROM appeal"
                " WHERE id = :id UNION ALL SELECT ordinal, outcome, ended_at FROM outgoing_call"
                " WHERE appeal_id = :id) AS calls ORDER BY ordinal"
            ),
            {"id": appeal_id},
        )
        return [tuple(row) for row in found]


async def test_agreeing_sources_have_no_difference_before_and_after_sealing(
    checked: CheckedCalls,
) -> None:
    assert await checked.found() == []
    assert await SealingWorker(checked.tools.settings, checked.tools.engine).seal_closed()
    assert list(checked.tools.settings.spool.iterdir()) == []
    assert await checked.found() == []


async def test_the_log_is_read_from_all_files_packed_or_not(checked: CheckedCalls) -> None:
    cel_log = cel_file_of(checked.tools.settings)
    lines = cel_log.read_bytes().splitlines(keepends=True)
    cel_log.with_name("ledger.jsonl.2.gz").write_bytes(gzip.compress(b"".join(lines[:8])))
    cel_log.with_name("ledger.jsonl.1").write_bytes(b"".join(lines[8:15]))
    cel_log.write_bytes(b"".join(lines[15:]) + b'{"half')
    assert await checked.found() == []
    cel_log.with_name("ledger.jsonl.1").unlink()
    assert await checked.found() != []


async def test_a_broken_packed_file_is_an_error_not_agreement(
    checked: CheckedCalls,
) -> None:
    packed = cel_file_of(checked.tools.settings).with_name("ledger.jsonl.2.gz")
    packed.write_bytes(gzip.compress(CAME_IN)[:-9])
    with pytest.raises(OperationFailed, match="cannot read the CEL file"):
        await checked.check()


async def test_lines_that_cannot_be_read_are_a_difference(checked: CheckedCalls) -> None:
    checked.write(b"garbage\n" + b"x" * 200_000 + b"\n")
    assert await checked.found() == [(DiscrepancyKind.LINES_UNREADABLE, "ledger")]
    assert await checked.mend() == []


async def test_an_unwritten_call_is_found_and_gets_its_appeal(
    checked: CheckedCalls,
) -> None:
    await checked.sql("DELETE FROM recording")
    await checked.sql("DELETE FROM appeal")
    found = await checked.found()
    assert found[:3] == [
        (DiscrepancyKind.CALL_WITHOUT_APPEAL, each) for each in (IN, DIALLED, NOT_REACHED)
    ]
    assert {kind for kind, _ in found[3:]} == {DiscrepancyKind.FILE_WITHOUT_RECORDING}
    _, mended = await checked.check(mending=True)
    assert [(each.kind, each.subject) for each in mended] == [
        (DiscrepancyKind.CALL_WITHOUT_APPEAL, IN),
        (DiscrepancyKind.FILE_WITHOUT_RECORDING, name_for(IN, checked.recording)),
    ]
    moments = await checked.moments()
    assert ("mended", "call without appeal") in moments
    assert ("mended", "file without recording") in moments
    async with unit_of_work(checked.tools.engine) as connection:
        row = await appeals.find_by_call(connection, IN)
        assert row is not None
        (recording,) = await recordings.of_appeal(connection, row.id)
    assert (row.received_at, row.ended_at) == (at(0), at(20))
    assert recording.id == checked.recording
    left = await checked.found()
    assert [each for each in left if each[1] in (IN, str(checked.recording))] == []


async def test_a_call_in_a_journal_is_left_to_it(checked: CheckedCalls) -> None:
    await checked.sql("DELETE FROM recording")
    await checked.sql("DELETE FROM appeal")
    spool = JournalSpool(checked.tools.settings.journals, "line-1", 1024**2)
    await spool.append([CallOpened(uuid4(), IN, parse_caller_id("+77010000001"), at(0))])
    assert (await checked.check(mending=True))[1] == []
    await spool.remove()
    spool.close()
    _, mended = await checked.check(mending=True)
    assert (DiscrepancyKind.CALL_WITHOUT_APPEAL, IN) in [(e.kind, e.subject) for e in mended]


async def test_an_end_in_a_journal_is_left_to_it(
    checked: CheckedCalls, caplog: pytest.LogCaptureFixture
) -> None:
    """The database went back to where the call was in progress, and a controller goes on."""
    await go_on(checked)
    spool = JournalSpool(checked.tools.settings.journals, "line-1", 1024**2)
    await spool.append([CallClosed(checked.appeal, Outcome.CALLBACK, at(20))])
    found, mended = await checked.check(mending=True)
    assert [each.kind for each in found] == NOT_ENDED
    assert mended == []
    assert "repair postponed: journals wait for the database" in caplog.text
    await spool.remove()
    spool.close()
    assert await checked.mend() == NOT_ENDED


async def test_what_a_journal_ended_meanwhile_is_not_mended(checked: CheckedCalls) -> None:
    await go_on(checked)
    found, _ = await checked.check()
    assert [each.kind for each in found] == NOT_ENDED
    async with unit_of_work(checked.tools.engine) as connection:
        await appeals.close_appeal(
            connection, appeal_id=checked.appeal, outcome="callback", ended_at=at(20)
        )
        await recordings.close(
            connection, recording_id=checked.recording, ended_at=at(16), is_empty=True
        )
    cel_log = cel_file_of(checked.tools.settings)
    assert await repair_discrepancies(checked.tools, cel_log, found) == []


async def test_a_call_of_the_fallback_ends_once(checked: CheckedCalls) -> None:
    """Before the job of each minute has come to it, which settles it."""
    checked.write(
        line(300, "CHAN_START", ANOTHER, CALLER, ANOTHER)
        + line(300, "RECEIVED", ANOTHER, CALLER, ANOTHER, '{"extra":"+77010000002"}')
        + line(301, "ANSWER", ANOTHER, CALLER, ANOTHER)
        + line(305, "FALLBACK_ENTERED", ANOTHER, CALLER, ANOTHER)
        + line(330, "CHAN_END", ANOTHER, CALLER, ANOTHER)
    )
    async with unit_of_work(checked.tools.engine) as connection:
        await opened(connection, at(300.1), call_id=ANOTHER, appeal_id=SOME)
    assert await checked.mend() == [DiscrepancyKind.CALL_NOT_ENDED]
    await account_for_calls(checked.tools, timedelta())
    async with unit_of_work(checked.tools.engine) as connection:
        row = await appeals.find_by_id(connection, SOME)
        events = await appeals.events(connection, SOME)
    assert row is not None
    assert (row.outcome, row.ended_at) == ("fallback", at(330))
    assert [event.kind for event in events] == ["fallback", "ended", "mended"]


async def test_an_unregistered_file_is_given_to_its_call(
    checked: CheckedCalls,
) -> None:
    await checked.sql("DELETE FROM recording WHERE id = :id", id=checked.recording)
    assert await checked.found() == [
        (DiscrepancyKind.CONVERSATION_WITHOUT_RECORDING, IN),
        (DiscrepancyKind.FILE_WITHOUT_RECORDING, name_for(IN, checked.recording)),
    ]
    await checked.check(mending=True)
    assert ("mended", "file without recording") in await checked.moments()
    assert await checked.found() == []


@pytest.mark.parametrize("ordinal", [0, 1])
async def test_an_end_that_is_off_is_put_right_and_marked(
    checked: CheckedCalls, ordinal: int
) -> None:
    if ordinal:
        await checked.sql("UPDATE outgoing_call SET ended_at = :at WHERE ordinal = 1", at=at(140))
    else:
        await checked.sql("UPDATE appeal SET ended_at = :at", at=at(90))
    assert await checked.found() == [(DiscrepancyKind.END_DISAGREES, DIALLED if ordinal else IN)]
    assert await checked.mend() == [DiscrepancyKind.END_DISAGREES]
    assert ("mended", "end disagrees") in await checked.moments()
    assert await checked.found() == []


@pytest.mark.parametrize("ordinal", [0, 1])
async def test_what_nobody_ended_ends_as_asterisk_says(checked: CheckedCalls, ordinal: int) -> None:
    """As after a restore: the backup has it in progress."""
    if ordinal:
        await checked.sql(
            "UPDATE outgoing_call SET ended_at = NULL, outcome = NULL WHERE ordinal = 1"
        )
    else:
        await go_on(checked)
    assert await checked.mend() == NOT_ENDED[: 2 - ordinal]
    assert await ends(checked, checked.appeal) == [
        ("talked", at(20) if ordinal == 0 else at(20.2)),
        ("talked", at(115) if ordinal == 1 else at(115.3)),
        ("not_reached", at(170.5)),
        ("given_up", at(310)),
    ]
    assert ("mended", "call not ended") in await checked.moments()
    assert await checked.found() == []


@pytest.mark.parametrize(
    ("written", "redirected", "outcome"),
    [
        (CallEvent.MENU, True, Outcome.REDIRECTED),
        (CallEvent.CALLBACK_PROMISED, False, Outcome.CALLBACK),
        (CallEvent.MESSAGE_LEFT, False, Outcome.MESSAGE),
        (CallEvent.MENU, False, Outcome.LOST_TO_A_FAULT),
    ],
)
async def test_a_lost_outcome_is_of_asterisk_or_was_written(
    checked: CheckedCalls, written: CallEvent, redirected: bool, outcome: Outcome
) -> None:
    checked.write(
        line(300, "CHAN_START", ANOTHER, CALLER, ANOTHER)
        + line(300, "RECEIVED", ANOTHER, CALLER, ANOTHER, '{"extra":"+77010000002"}')
        + line(301, "ANSWER", ANOTHER, CALLER, ANOTHER)
        + line(302, "STREAM_BEGIN", ANOTHER, CALLER, ANOTHER, '{"sound":"kk/greeting"}')
        + (talk(310, ANOTHER, (ANOTHER, CALLER), ("called-e", CENTER)) if redirected else b"")
        + line(330, "CHAN_END", ANOTHER, CALLER, ANOTHER)
    )
    async with unit_of_work(checked.tools.engine) as connection:
        await opened(connection, at(300.1), call_id=ANOTHER, appeal_id=SOME)
        await appeals.add_events(connection, [EventRow(SOME, 1, at(303), written, {})])
    assert await checked.mend() == [DiscrepancyKind.CALL_NOT_ENDED]
    assert await ends(checked, SOME) == [(outcome, at(330))]


async def test_an_appeal_ends_with_the_outbound_call_that_opened_it(checked: CheckedCalls) -> None:
    checked.write(
        line(300, "CHAN_START", ANOTHER, CONSULTANT, ANOTHER)
        + line(300, "APP_START", ANOTHER, CONSULTANT, ANOTHER)
        + line(301, "CHAN_START", "called-e", NETWORK, ANOTHER)
        + line(320, "CHAN_END", "called-e", NETWORK, ANOTHER)
        + line(321, "CHAN_END", ANOTHER, CONSULTANT, ANOTHER)
    )
    async with unit_of_work(checked.tools.engine) as connection:
        await appeals.open_appeal(
            connection,
            appeal_id=SOME,
            call_id=None,
            channel=outbound_calls.CHANNEL,
            caller_kind="number",
            caller_number="+77010000003",
            received_at=at(300.1),
        )
        await outbound_calls.begin(
            connection,
            appeal_id=SOME,
            call_id=ANOTHER,
            number="+77010000003",
            consultant_id=None,
            began_at=at(300.1),
        )
    assert await checked.mend() == [DiscrepancyKind.CALL_NOT_ENDED]
    assert await ends(checked, SOME) == [(Outcome.LOST_TO_A_FAULT, at(321))] * 2


@pytest.mark.parametrize(
    ("ended", "outcome", "kind"),
    [
        (None, None, DiscrepancyKind.CALL_NOT_ENDED),
        (at(160), "not_reached", DiscrepancyKind.END_DISAGREES),
    ],
)
async def test_what_may_be_another_call_is_not_repaired(
    checked: CheckedCalls, ended: datetime | None, outcome: str | None, kind: DiscrepancyKind
) -> None:
    """One that was ringing at the backup, and another a minute later."""
    await checked.sql(
        "UPDATE outgoing_call SET began_at = :began, ended_at = :ended, outcome = :outcome"
        " WHERE call_id = 'callback-1'",
        began=at(90),
        ended=ended,
        outcome=outcome,
    )
    assert await checked.found() == [
        (DiscrepancyKind.TIMES_DISAGREE, NOT_REACHED),
        (kind, NOT_REACHED),
    ]
    assert await checked.mend() == []


async def test_a_recording_closed_after_its_call_is_corrected(
    checked: CheckedCalls,
) -> None:
    await checked.sql(
        "UPDATE recording SET started_at = :began, ended_at = :ended WHERE id = :id",
        id=checked.recording,
        began=at(8),
        ended=at(48),
    )
    assert await checked.found() == [(DiscrepancyKind.RECORDING_TOO_LATE, str(checked.recording))]
    assert await checked.mend() == [DiscrepancyKind.RECORDING_TOO_LATE]
    assert ("mended", "recording ends too late") in await checked.moments()
    assert await checked.found() == []


async def test_a_conversation_that_the_journal_lacks_is_put_down(checked: CheckedCalls) -> None:
    await checked.sql("DELETE FROM appeal_event WHERE seq = 2")
    assert await checked.found() == [(DiscrepancyKind.CONVERSATION_WITHOUT_MOMENT, IN)]
    assert await checked.mend() == [DiscrepancyKind.CONVERSATION_WITHOUT_MOMENT]
    assert await checked.moments() == [
        ("received", None),
        ("connected", None),
        ("mended", "conversation without moment"),
        ("connected", None),
    ]


@pytest.mark.parametrize("lost", ["end", "conversation"])
async def test_an_appeal_gets_the_consultant_of_its_conversation(
    checked: CheckedCalls, lost: str
) -> None:
    async with unit_of_work(checked.tools.engine) as connection:
        aigul = await consultants.add(
            connection, extension="201", name="Айгүл", languages=["kk"], digest="0" * 32
        )
    if lost == "end":
        await go_on(checked)
    else:
        await checked.sql("DELETE FROM appeal_event WHERE seq = 2")
    assert await checked.mend() != []
    async with unit_of_work(checked.tools.engine) as connection:
        row = await appeals.find_by_id(connection, checked.appeal)
    assert row is not None
    assert row.consultant_id == aigul.id


Alter = Callable[[CheckedCalls], Awaitable[None]]


async def no_lines(checked: CheckedCalls) -> None:
    cel_file_of(checked.tools.settings).write_bytes(WENT_OUT)


async def file_gone(checked: CheckedCalls) -> None:
    (checked.tools.settings.spool / name_for(IN, checked.recording)).unlink()


async def file_cut(checked: CheckedCalls) -> None:
    checked.spool(name_for(IN, checked.recording))
    os.truncate(checked.tools.settings.spool / name_for(IN, checked.recording), 160_000)


async def failed(checked: CheckedCalls) -> None:
    await checked.sql("UPDATE recording SET state = 'failed' WHERE id = :id", id=checked.recording)


async def another_recording(checked: CheckedCalls) -> None:
    await checked.sql(
        "INSERT INTO recording (id, appeal_id, spool_name, state, started_at, ended_at)"
        " VALUES (:id, :appeal, 'odd.raw', 'closed', :began, :ended)",
        id=SOME,
        appeal=checked.appeal,
        began=at(40),
        ended=at(50),
    )
    checked.spool("odd.raw", 50)


async def begun_before(checked: CheckedCalls) -> None:
    await checked.sql("UPDATE appeal SET received_at = :at", at=at(-30))


async def made_up(checked: CheckedCalls) -> None:
    async with unit_of_work(checked.tools.engine) as connection:
        await appeals.add_events(connection, [EventRow(checked.appeal, 3, at(2), "connected", {})])


async def odd_file(checked: CheckedCalls) -> None:
    checked.spool("odd.raw")


async def odd_stored(checked: CheckedCalls) -> None:
    folder = checked.tools.settings.recordings / f"{BEGAN:%Y/%m/%d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{SOME}.flac.age").write_bytes(b"age")


@pytest.mark.parametrize(
    ("alter", "kinds"),
    [
        (
            no_lines,
            [DiscrepancyKind.APPEAL_WITHOUT_CALL, DiscrepancyKind.RECORDING_WITHOUT_CONVERSATION],
        ),
        (
            file_gone,
            [
                DiscrepancyKind.CONVERSATION_WITHOUT_RECORDING,
                DiscrepancyKind.RECORDING_WITHOUT_FILE,
            ],
        ),
        (file_cut, [DiscrepancyKind.TIMES_DISAGREE]),
        (failed, [DiscrepancyKind.CONVERSATION_WITHOUT_RECORDING]),
        (another_recording, [DiscrepancyKind.RECORDING_WITHOUT_CONVERSATION]),
        (begun_before, [DiscrepancyKind.TIMES_DISAGREE]),
        (made_up, [DiscrepancyKind.MOMENT_WITHOUT_CONVERSATION]),
        (odd_file, [DiscrepancyKind.FILE_WITHOUT_RECORDING]),
        (odd_stored, [DiscrepancyKind.FILE_WITHOUT_RECORDING]),
    ],
)
async def test_what_cannot_be_repaired_is_left_for_people(
    checked: CheckedCalls, alter: Alter, kinds: Sequence[DiscrepancyKind]
) -> None:
    await alter(checked)
    assert [kind for kind, _ in await checked.found()] == kinds
    assert await checked.mend() == []


async def check(tools: WorkerResources) -> None:
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


async def alerted(redis: Redis) -> list[str]:
    """What supervisors were told of the CEL log since this was asked last.

    At the turn of a minute such a worker does what is due besides, and may tell of recordings.
    """
    alerts = await redis.lrange("desk:alarms", 0, -1)
    await redis.delete("desk:alarms")
    kinds = [json.loads(each)["kind"] for each in alerts]
    return [kind for kind in kinds if kind != RECORDINGS_WAIT.key]


async def test_the_nightly_check_repairs_and_alerts_of_the_rest(
    redis: Redis, checked: CheckedCalls, caplog: pytest.LogCaptureFixture
) -> None:
    await check(checked.tools)
    assert await alerted(redis) == []
    await checked.sql("UPDATE appeal SET ended_at = :at", at=at(90))
    await check(checked.tools)
    assert await alerted(redis) == []  # it was mended
    checked.spool("odd.raw")
    await check(checked.tools)
    assert await alerted(redis) == ["ledger_differs"]
    await check(checked.tools)
    assert await alerted(redis) == []  # of this one somebody was told
    logged = {(each.levelname, each.message.partition(":")[0]) for each in caplog.records}
    assert ("WARNING", "discrepancy repaired") in logged
    assert ("CRITICAL", "discrepancy found") in logged
    assert "discrepancy found: file without recording odd.raw" in caplog.text
    assert "discrepancies left: 1" in caplog.text
    assert await checked.found() == [(DiscrepancyKind.FILE_WITHOUT_RECORDING, "odd.raw")]


async def test_that_nothing_could_be_compared_is_alerted_too(
    redis: Redis, checked: CheckedCalls
) -> None:
    packed = cel_file_of(checked.tools.settings).with_name("ledger.jsonl.2.gz")
    packed.write_bytes(gzip.compress(b"{}")[:-4])
    await check(checked.tools)
    assert await alerted(redis) == ["ledger_differs"]


def run(*words: str) -> Result:
    return CliRunner().invoke(callcenter, ["check", "calls", *words])


async def test_a_database_without_tables_is_said_so(
    empty_database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", empty_database)
    monkeypatch.setenv("CALLCENTER_VAR", str(settings.var))
    monkeypatch.setenv("CALLCENTER_AMI_PORT", str(free_port()))
    said = await asyncio.to_thread(run)
    assert isinstance(said.exception, DependencyUnavailable)
    assert "callcenter migrate" in str(said.exception)


async def test_the_command_lists_mends_and_tells_by_its_exit_status(
    checked: CheckedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = checked.tools
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", tools.settings.database)
    monkeypatch.setenv("CALLCENTER_VAR", str(tools.settings.var))
    monkeypatch.setenv("CALLCENTER_RECORDINGS", str(tools.settings.recordings))
    monkeypatch.setenv("CALLCENTER_AMI_PORT", str(tools.settings.ami_port))
    clean = await asyncio.to_thread(run)
    assert clean.exit_code == 0
    assert clean.output.startswith("no differences left from ")
    await checked.sql("UPDATE appeal SET ended_at = :at", at=at(90))
    found = await asyncio.to_thread(run)
    assert re.search(rf"^DIFFERS end disagrees +{re.escape(IN)}  ended at ", found.output)
    assert isinstance(found.exception, OperationFailed)
    yesterday = f"{datetime.now(UTC) - timedelta(days=9):%Y-%m-%d}"
    earlier = await asyncio.to_thread(run, "--to", yesterday)
    assert earlier.exit_code == 0
    mended = await asyncio.to_thread(run, "--mend")
    assert mended.output.startswith("mended  end disagrees")
    assert mended.exit_code == 0
    later = await asyncio.to_thread(run, "--from", "2099-01-01")
    assert isinstance(later.exception, InvalidRequest)
