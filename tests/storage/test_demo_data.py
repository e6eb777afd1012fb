"""Invented appeals: they stand in the register as real ones do."""

import re
from datetime import UTC, datetime, timedelta
from itertools import repeat

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.number import is_valid
from callcenter.demo.appeals import load
from callcenter.errors import AskedWrongly
from callcenter.register import searching, store
from callcenter.register.fields import Guard
from callcenter.register.private import Keys
from callcenter.register.searching import LIMIT, Question
from callcenter.register.stages import Kind, Stage
from callcenter.register.words import folded, stems, words
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
        said = str(record.content["content"]).split()
        found = await searching.find(connection, keys, Question(" ".join(said[:2])), set(Guard))
        assert len(found) > 0
        last = await connection.execute(text("SELECT sum(last) FROM appeal_counter"))
        assert last.scalar_one() == 300


QUESTIONS = (
    Question("просит"),
    Question("муж алименты полиция"),
    Question("просит", stages=(Stage.CLOSED,)),
    Question("қоңырау", stages=(Stage.IN_WORK, Stage.FORWARDED)),
    Question("просит", region="710000000"),
    Question(region="710000000"),
    Question("просит", since=NOW - timedelta(days=700), until=NOW - timedelta(days=30)),
    Question("просит", since=NOW - timedelta(days=3)),
    Question("просит", until=NOW - timedelta(days=1000)),
    Question("муж жәрдемақы"),
    Question("просит", kind=Kind.COMPLAINT, owner="consultant7"),
    Question(topic="family"),
    Question("полиция", topic="bullying", urgent=False, channel="call"),
    Question(urgent=True),
)


def is_of(topic: str, asked: str) -> bool:
    """Codes of parts begin with that of the whole, in the form that a center begins with."""
    return topic == asked or topic.startswith(f"{asked}_")


async def test_the_newest_are_found_as_by_looking_at_every_one(
    settings: Settings, engine: AsyncEngine
) -> None:
    await load(settings, 1500, 7, NOW, lambda _: None)
    keys = Keys.read(settings)
    everything = text(
        "SELECT appeal_id, terms, received_at, stage, content->>'region' AS region,"
        " kind, owner, content->'topics' AS topics FROM record_search JOIN record USING (appeal_id)"
        " ORDER BY received_at DESC, appeal_id DESC"
    )
    async with unit_of_work(engine) as connection:
        rows = (await connection.execute(everything)).all()
        for question in QUESTIONS:
            asked = [{*stems(word), folded(word)} for word in words(question.text)]
            fit = [
                row.appeal_id
                for row in rows
                if all(forms & set(row.terms) for forms in asked)
                and (not question.stages or row.stage in question.stages)
                and question.region in ("", row.region)
                and question.owner in ("", row.owner)
                and question.kind in (None, row.kind)
                and (not question.topic or any(map(is_of, row.topics, repeat(question.topic))))
                and (not question.urgent or row.kind == "danger")
                and (question.since is None or row.received_at >= question.since)
                and (question.until is None or row.received_at < question.until)
            ]
            found = await searching.find(connection, keys, question, set(Guard))
            assert [each.id for each in found] == fit[: LIMIT + 1], question


async def test_a_register_that_is_in_use_is_left_alone(
    settings: Settings, engine: AsyncEngine
) -> None:
    await load(settings, 2, 7, NOW, lambda _: None)
    with pytest.raises(AskedWrongly, match="empty"):
        await load(settings, 2, 7, NOW, lambda _: None)
