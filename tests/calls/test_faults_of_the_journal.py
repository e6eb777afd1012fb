"""The database is sick and a controller dies: what happened in its calls is kept all the same."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.controller.writing import inherit_journals
from callcenter.line.backlog import waiting
from callcenter.line.encoding import decode
from callcenter.line.entries import Closed
from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import (
    a_check_is_due,
    answered_call,
    both_hear,
    connected,
    lost_packets,
    no_check_is_due,
)
from tests.calls.house import House, until
from tests.calls.parts import Line, OwnPostgres

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@asynccontextmanager
async def sick(server: OwnPostgres, fault: str) -> AsyncIterator[None]:
    """PostgreSQL does not answer, or is away, within the block."""
    await asyncio.to_thread(server.pause if fault == "frozen" else server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.go_on if fault == "frozen" else server.start)


async def calls_are_on_disk(house: House, count: int) -> None:
    """Wait until so many calls have ended, as the journal on disk says."""

    def closed() -> int:
        files = [path.read_bytes() for path in waiting(house.settings.journals)]
        whole = [line for file in files for line in file.split(b"\n")[:-1]]
        return sum(isinstance(decode(line), Closed) for line in whole)

    async def enough() -> bool:
        return closed() == count

    await until(enough, f"{count} calls have ended on disk")


@pytest.mark.parametrize("fault", ["frozen", "away"])
async def test_a_controller_that_dies_while_the_database_is_sick_loses_nothing(
    house: House,
    line: Line,
    postgres_server: OwnPostgres,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr("callcenter.line.inheritance.QUIET", 1.0)
    await no_check_is_due(house)
    first, second = [f"+770200003{number}{len(fault)}" for number in (1, 2)]
    async with house.consultant("201") as consultant, house.caller(first) as caller:
        leg = await connected(house, caller, consultant)
        async with sick(postgres_server, fault):
            sick_since, heard_since = time.time(), time.monotonic()
            async with house.caller(second) as chooses:
                await chooses.press("2")
                await house.hears(chooses, "ru", "emergency_hint")
            await both_hear(caller, leg)
            assert lost_packets(caller, heard_since) == lost_packets(leg, heard_since) == 0
            await leg.hang_up()
            await caller.ended()
            async with house.caller(second) as again:
                await house.talk_shortly(await answered_call(again, consultant))
                await again.ended()
            await calls_are_on_disk(house, 3)
            await line.kill()
            died_at = time.time()
        if fault == "frozen":
            await line.start()
            await all_is_kept(house, first, second, sick_since, died_at)
            await a_check_is_due(house)
        else:  # no controller comes back
            worker = asyncio.create_task(inherit_journals(house.settings, house.engine))
            await all_is_kept(house, first, second, sick_since, died_at)
            await a_check_is_due(house)
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await line.start()  # the consultant is to be seen leaving


async def all_is_kept(house: House, first: str, second: str, since: float, until_: float) -> None:
    async def is_settled() -> bool:
        return waiting(house.settings.journals) == []

    await until(is_settled, "the journal is in the database", 30)
    for number, outcome in ((first, Outcome.TALKED), (second, Outcome.TALKED)):
        appeal = await house.appeal(number)
        assert appeal.outcome == outcome
        assert appeal.ended_at is not None
        assert since < appeal.ended_at.timestamp() < until_
        events = await house.events(appeal)
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1].kind == Moment.ENDED
        (recording,) = await house.recordings(appeal)
        assert recording.state == "closed"
    assert await house.redis.exists("desk:waiting") == 0
    async with house.engine.connect() as connection:
        query = "SELECT outcome FROM appeal WHERE caller_number = %s ORDER BY number"
        outcomes = (await connection.exec_driver_sql(query, (second,))).scalars().all()
    assert outcomes == [Outcome.LEFT_IN_MENU, Outcome.TALKED]
