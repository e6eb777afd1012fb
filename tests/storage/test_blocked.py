"""Blocked numbers in PostgreSQL, and how a controller learns of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse import blocklist as lists
from callcenter.abuse import store
from callcenter.abuse.blocklist import Blocklist
from callcenter.abuse.blocks import Reason
from callcenter.abuse.store import Block
from callcenter.abuse.tables import blocked_number
from callcenter.errors import AskedWrongly
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from tests.protocol.polling import until

NUMBER = "+77010000001"
HOUR = timedelta(hours=1)


async def block(engine: AsyncEngine, number: str = NUMBER, length: timedelta = HOUR) -> Block:
    async with unit_of_work(engine) as connection:
        return await store.block(
            connection, number=number, length=length, reason=Reason.PRANKS, author="user:aigul"
        )


async def in_force(engine: AsyncEngine) -> list[Block]:
    async with unit_of_work(engine) as connection:
        return await store.in_force(connection)


async def test_a_block_is_in_force_with_its_reason_and_author(engine: AsyncEngine) -> None:
    made = await block(engine)
    assert await in_force(engine) == [made]
    assert (made.reason, made.author) == (Reason.PRANKS, "user:aigul")
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


async def test_an_expired_block_is_past_and_its_end_stays_as_it_was(engine: AsyncEngine) -> None:
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


async def test_of_two_who_block_a_number_at_once_one_is_told_so(engine: AsyncEngine) -> None:
    results = await asyncio.gather(*(block(engine) for _ in range(5)), return_exceptions=True)
    refused = [each for each in results if isinstance(each, BaseException)]
    assert all(isinstance(each, AskedWrongly) for each in refused)
    assert len(await in_force(engine)) == 1


@asynccontextmanager
async def running(settings: Settings, engine: AsyncEngine) -> AsyncIterator[Blocklist]:
    blocklist = Blocklist(settings, engine)
    task = asyncio.create_task(blocklist.run())
    try:
        yield blocklist
    finally:
        task.cancel()
        await asyncio.wait((task,))
    assert task.cancelled()


async def test_a_controller_learns_of_changes_without_asking(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "REFRESH", 3600.0)
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
    monkeypatch.setattr(lists, "REFRESH", 0.05)
    async with running(settings, engine) as blocklist:
        made = await block(engine)
        async with unit_of_work(engine) as connection:  # without a word
            await connection.execute(
                update(blocked_number)
                .where(blocked_number.c.id == made.id)
                .values(number="+77010000003")
            )
        await until(lambda: blocklist.blocks("+77010000003"), "the list was read anew")


async def test_while_the_database_is_away_the_list_stays_and_comes_back_by_itself(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "REFRESH", 0.05)
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
