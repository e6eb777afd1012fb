"""Blocked numbers in PostgreSQL, and how a controller learns of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage import notified_cache
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.telephony.callers.blocklist import store
from callcenter.telephony.callers.blocklist.cache import Blocklist
from callcenter.telephony.callers.blocklist.rules import BlockReason
from callcenter.telephony.callers.blocklist.store import Block
from callcenter.telephony.callers.blocklist.tables import blocked_number
from callcenter.telephony.callers.history import erase_ended
from tests.polling import until

NUMBER = "+77010000001"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def block(engine: AsyncEngine, number: str = NUMBER, length: timedelta = HOUR) -> Block:
    async with unit_of_work(engine) as connection:
        return await store.block(
            connection, number=number, length=length, reason=BlockReason.PRANKS, author="user:aigul"
        )


async def in_force(engine: AsyncEngine) -> list[Block]:
    async with unit_of_work(engine) as connection:
        return await store.in_force(connection)


async def test_a_block_is_in_force_with_its_reason_and_author(engine: AsyncEngine) -> None:
    made = await block(engine)
    assert await in_force(engine) == [made]
    assert (made.reason, made.author) == (BlockReason.PRANKS, "user:aigul")
    assert made.until - made.created_at == HOUR


async def test_a_lifted_block_ends_at_once_and_is_lifted_once(engine: AsyncEngine) -> None:
    made = await block(engine)
    async with unit_of_work(engine) as connection:
        lifted = await store.lift(connection, made.id)
        assert lifted is not None
        assert lifted.lifted_at is not None
        assert await store.lift(connection, made.id) is None
        assert [each.id for each in await store.newest(connection, limit=9)] == [made.id]
    assert await in_force(engine) == []


async def test_a_new_block_takes_the_place_of_the_one_before(engine: AsyncEngine) -> None:
    first, second = await block(engine), await block(engine, length=2 * HOUR)
    assert await in_force(engine) == [second]
    async with unit_of_work(engine) as connection:
        ends = {each.id: each.lifted_at for each in await store.newest(connection, limit=9)}
    assert ends == {first.id: second.created_at, second.id: None}


async def test_an_expired_block_is_past_and_keeps_its_end(engine: AsyncEngine) -> None:
    expired = await block(engine)
    ago = datetime.now(UTC) - timedelta(minutes=5)
    async with unit_of_work(engine) as connection:
        await connection.execute(update(blocked_number).values(created_at=ago - HOUR, until=ago))
        assert await store.in_force(connection) == []
        assert await store.lift(connection, expired.id) is None
    await block(engine)
    async with unit_of_work(engine) as connection:
        ends = {each.id: each.lifted_at for each in await store.newest(connection, limit=9)}
    assert ends[expired.id] == ago


async def test_of_two_simultaneous_blocks_one_is_refused(engine: AsyncEngine) -> None:
    results = await asyncio.gather(*(block(engine) for _ in range(5)), return_exceptions=True)
    refused = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, InvalidRequest) for each in refused)
    assert len(await in_force(engine)) == 1


@asynccontextmanager
async def running(settings: Settings, engine: AsyncEngine) -> AsyncIterator[Blocklist]:
    listener = NotifyListener(settings)
    blocklist = Blocklist(engine, listener)
    tasks = [asyncio.create_task(each.run()) for each in (listener, blocklist)]
    try:
        yield blocklist
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_a_controller_learns_of_changes_without_asking(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notified_cache, "REFRESH_INTERVAL", 3600.0)
    before = await block(engine, "+77010000002")
    async with running(settings, engine) as blocklist:
        await until(lambda: blocklist.blocks("+77010000002"), "what was blocked before is known")
        assert not blocklist.blocks(NUMBER)
        made = await block(engine)
        await until(lambda: blocklist.blocks(NUMBER), "the new block is known")
        async with unit_of_work(engine) as connection:
            await store.lift(connection, made.id)
        await until(lambda: not blocklist.blocks(NUMBER), "the lifted block is forgotten")
        assert blocklist.blocks(before.number)


async def test_a_notice_that_was_lost_is_made_good_by_asking(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notified_cache, "REFRESH_INTERVAL", 0.05)
    async with running(settings, engine) as blocklist:
        made = await block(engine)
        async with unit_of_work(engine) as connection:  # without a word
            await connection.execute(
                update(blocked_number)
                .where(blocked_number.c.id == made.id)
                .values(number="+77010000003")
            )
        await until(lambda: blocklist.blocks("+77010000003"), "the list was read anew")


async def test_the_blocklist_survives_a_database_outage(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notified_cache, "REFRESH_INTERVAL", 0.05)
    await block(engine)
    async with running(settings, engine) as blocklist:
        await until(lambda: blocklist.blocks(NUMBER), "the block is known")
        async with unit_of_work(engine) as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        assert blocklist.blocks(NUMBER)
        await block(engine, "+77010000004")
        await until(lambda: blocklist.blocks("+77010000004"), "changes are known again")


async def test_a_block_is_erased_long_after_its_end(
    settings: Settings, engine: AsyncEngine
) -> None:
    past, lifted = await block(engine), await block(engine, "+77010000002", 900 * DAY)
    lasting = await block(engine, "+77010000003", 900 * DAY)
    async with unit_of_work(engine) as connection:
        await store.lift(connection, lifted.id)
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    left = []
    for days in (1, settings.caller_history_days + 1):
        await erase_ended(tools, store.delete_ended, now + days * DAY)
        async with unit_of_work(engine) as connection:
            left.append({each.id for each in await store.newest(connection, limit=9)})
    assert left == [{past.id, lifted.id, lasting.id}, {lasting.id}]
