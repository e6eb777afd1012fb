"""Invented appeals: they stand in the register as real ones do."""

import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.number import is_valid
from callcenter.demo.appeals import load
from callcenter.errors import AskedWrongly
from callcenter.register import searching, store
from callcenter.register.private import Keys
from callcenter.register.searching import Question
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def test_invented_appeals_are_whole_and_found(
    settings: Settings, engine: AsyncEngine
) -> None:
    made: list[int] = []
    await load(settings, 300, 7, NOW, made.append)
    assert sum(made) == 300
    keys = Keys.read(settings)
    async with unit_of_work(engine) as connection:
        rows = (await connection.execute(text("SELECT id, number FROM appeal"))).all()
        assert len({number for _, number in rows}) == 300
        assert all(is_valid(number) for _, number in rows)
        record = await store.find(connection, keys, rows[0].id)
        assert re.fullmatch("[0-9]{12}", str(record.content["applicant.identifier"]))
        words = str(record.content["content"]).split()
        found = await searching.find(connection, keys, Question(" ".join(words[:2])))
        assert len(found) > 0
        last = await connection.execute(text("SELECT sum(last) FROM appeal_counter"))
        assert last.scalar_one() == 300


async def test_a_register_that_is_in_use_is_left_alone(
    settings: Settings, engine: AsyncEngine
) -> None:
    await load(settings, 2, 7, NOW, lambda _: None)
    with pytest.raises(AskedWrongly, match="empty"):
        await load(settings, 2, 7, NOW, lambda _: None)
