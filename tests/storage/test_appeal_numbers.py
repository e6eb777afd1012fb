"""Numbers of appeals when a year has used up many of them, and when it has used up all."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.jobs import alert_of_numbers
from callcenter.appeals.rules.number import LAST_SEQUENCE, NumbersExhausted, make
from callcenter.appeals.status.lookup import SqlAppealStatusLookup
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.calls.journal.codec import decode
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.spool import JournalSpool, quarantined_files
from callcenter.telephony.controller.journal_writer import JournalWriter
from tests.appeals import numbers_given, opened
from tests.storage.recorded import ENDED, LINES, account, outcomes, write
from tests.storage.test_journal_writer import NOON, appeal_of, hire, is_stored, story
from tests.storage.test_status_lookup import CALLER, FORWARDED, appeal

LAST_OF_SEVEN = 9_999_999
RECORDED = datetime(2026, 11, 24, tzinfo=UTC)  # the day of the calls of LINES


async def count(engine: AsyncEngine, last: int, at: datetime) -> None:
    async with unit_of_work(engine) as connection:
        await numbers_given(connection, last, at)


async def test_numbers_go_on_with_a_digit_more(engine: AsyncEngine) -> None:
    await count(engine, LAST_OF_SEVEN - 1, NOON)
    async with unit_of_work(engine) as connection:
        for _ in range(3):
            await opened(connection, NOON)
        rows = await connection.scalars(text("SELECT number FROM appeal ORDER BY length(number)"))
        assert set(rows) == {make(26, LAST_OF_SEVEN + each) for each in range(3)}
        found = await appeals.find(connection, make(26, LAST_OF_SEVEN + 2))
        assert found is not None


async def test_who_opens_an_appeal_without_numbers_is_refused(engine: AsyncEngine) -> None:
    await count(engine, LAST_SEQUENCE - 1, NOON)
    async with unit_of_work(engine) as connection:
        await opened(connection, NOON)
    with pytest.raises(NumbersExhausted):
        async with unit_of_work(engine) as connection:
            await opened(connection, NOON)
    async with unit_of_work(engine) as connection:
        await opened(connection, NOON.replace(year=2027))  # each year has its own


async def test_a_journal_survives_the_last_number(engine: AsyncEngine, tmp_path: Path) -> None:
    consultant = await hire(engine)
    before, refused, after = (story(number, consultant) for number in range(3))
    await count(engine, LAST_SEQUENCE - 1, NOON)
    writer = JournalWriter(engine)
    journal = Journal(writer.write, JournalSpool(tmp_path, "line-1", 1024**2))
    running = asyncio.create_task(journal.run())
    async with asyncio.timeout(20):
        for entry in (*before, *refused):
            journal.append(entry)
        await journal.flush()
        assert not running.done()
        async with unit_of_work(engine) as connection:
            assert await appeals.find_by_id(connection, appeal_of(refused)) is None
        [file] = quarantined_files(tmp_path)
        quarantined = [decode(line) for line in file.read_bytes().splitlines()]
        assert quarantined == refused
        await count(engine, 0, NOON)
        for entry in after:
            journal.append(entry)
        await journal.replay(quarantined)
        await journal.flush()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await writer.close()
    for entries in (before, refused, after):
        await is_stored(engine, entries, consultant)


async def test_calls_of_the_switch_wait_for_a_number(tools: WorkerResources) -> None:
    await count(tools.engine, LAST_SEQUENCE, RECORDED)
    write(tools, LINES)
    await account(tools)
    assert await outcomes(tools) == {}
    await count(tools.engine, LAST_SEQUENCE - 2, RECORDED)
    await account(tools)
    assert len(await outcomes(tools)) == 2
    await count(tools.engine, 0, RECORDED)
    await account(tools)
    assert await outcomes(tools) == ENDED


async def test_supervisors_are_alerted_before_numbers_run_out(
    settings: Settings, engine: AsyncEngine, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await alert_of_numbers(tools, redis, now)  # of a year without an appeal
    await count(engine, LAST_SEQUENCE * 9 // 10 - 1, now)
    await alert_of_numbers(tools, redis, now)
    assert await redis.hgetall("desk:alarm_counts") == {}
    await count(engine, LAST_SEQUENCE * 9 // 10 + 1, now)
    for _ in range(2):
        await alert_of_numbers(tools, redis, now)
    counts = await redis.hgetall("desk:alarm_counts")
    assert {kind.decode() if isinstance(kind, bytes) else kind for kind in counts} == {
        "numbers_run_out"
    }
    assert [int(each) for each in counts.values()] == [1]
    [line] = [each for each in caplog.messages if each.startswith("appeal numbers run out")]
    assert "90000000 of 99999999" in line


@pytest.mark.parametrize("last", [41, LAST_OF_SEVEN, LAST_SEQUENCE - 1])
async def test_the_status_of_an_appeal_is_found_by_any_number(
    engine: AsyncEngine, last: int
) -> None:
    await count(engine, last, datetime.now(UTC))
    number, lookup = await appeal(engine), SqlAppealStatusLookup(engine)
    assert lookup.is_number(number)
    assert await lookup.look_up(number, "0427", "1.1", CALLER) == FORWARDED
