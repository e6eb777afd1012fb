"""The database is sick and a controller dies: what happened in its calls is kept all the same."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.telephony.calls.journal.codec import decode
from callcenter.telephony.calls.journal.events import CallClosed
from callcenter.telephony.calls.journal.spool import pending_spools
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.controller.journal_writer import replay_orphaned_journals
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import (
    a_check_is_due,
    answered_call,
    both_hear,
    connected,
    lost_packets,
    no_check_is_due,
)
from tests.calls.processes import ControllerProgram, OwnPostgres
from tests.polling import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@asynccontextmanager
async def sick(server: OwnPostgres, fault: str) -> AsyncIterator[None]:
    """PostgreSQL does not answer, or is away, within the block."""
    await asyncio.to_thread(server.pause if fault == "frozen" else server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.go_on if fault == "frozen" else server.start)


async def calls_are_on_disk(call_center: CallCenter, count: int) -> None:
    """Wait until so many calls have ended, as the journal on disk says."""

    def closed() -> int:
        files = [path.read_bytes() for path in pending_spools(call_center.settings.journals)]
        whole = [line for file in files for line in file.split(b"\n")[:-1]]
        return sum(isinstance(decode(line), CallClosed) for line in whole)

    async def enough() -> bool:
        return closed() == count

    await until(enough, f"{count} calls have ended on disk")


@pytest.mark.parametrize("fault", ["frozen", "away"])
async def test_a_controller_dying_during_database_trouble_loses_nothing(
    call_center: CallCenter,
    line: ControllerProgram,
    postgres_server: OwnPostgres,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr("callcenter.telephony.calls.journal.replay.QUIET_AFTER", 1.0)
    await no_check_is_due(call_center)
    first, second = [f"+770200003{number}{len(fault)}" for number in (1, 2)]
    async with call_center.consultant("201") as consultant, call_center.caller(first) as caller:
        leg = await connected(call_center, caller, consultant)
        async with sick(postgres_server, fault):
            sick_since, heard_since = time.time(), time.monotonic()
            async with call_center.caller(second) as chooses:
                await chooses.press("2")
                await call_center.hears(chooses, "ru", "emergency_hint")
            await both_hear(caller, leg)
            assert lost_packets(caller, heard_since) == lost_packets(leg, heard_since) == 0
            await leg.hang_up()
            await caller.ended()
            async with call_center.caller(second) as again:
                await call_center.talk_shortly(await answered_call(again, consultant))
                await again.ended()
            await calls_are_on_disk(call_center, 3)
            await line.kill()
            died_at = time.time()
        if fault == "frozen":
            await line.start()
            await all_is_stored(call_center, first, second, sick_since, died_at)
            await a_check_is_due(call_center)
        else:  # no controller comes back
            worker = asyncio.create_task(
                replay_orphaned_journals(call_center.settings, call_center.engine)
            )
            await all_is_stored(call_center, first, second, sick_since, died_at)
            await a_check_is_due(call_center)
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await line.start()  # the consultant is to be seen leaving


async def all_is_stored(
    call_center: CallCenter, first: str, second: str, since: float, until_: float
) -> None:
    async def is_settled() -> bool:
        return pending_spools(call_center.settings.journals) == []

    await until(is_settled, "the journal is in the database", 30)
    # The second hung up at once: of so short a conversation there may be no sound.
    for number, states in ((first, {"closed"}), (second, {"closed", "empty"})):
        appeal = await call_center.appeal(number)
        assert appeal.outcome == Outcome.TALKED
        assert appeal.ended_at is not None
        assert since < appeal.ended_at.timestamp() < until_
        events = await call_center.events(appeal)
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1].kind == CallEvent.ENDED
        (recording,) = await call_center.recordings(appeal)
        assert recording.state in states
    assert await call_center.redis.exists("desk:waiting") == 0
    async with call_center.engine.connect() as connection:
        query = "SELECT outcome FROM appeal WHERE caller_number = %s ORDER BY number"
        outcomes = (await connection.exec_driver_sql(query, (second,))).scalars().all()
    assert outcomes == [Outcome.LEFT_IN_MENU, Outcome.TALKED]
