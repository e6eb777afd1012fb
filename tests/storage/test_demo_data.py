"""Invented appeals: they stand in the register as real ones do."""

import re
from datetime import UTC, datetime, timedelta
from itertools import repeat

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record import store
from callcenter.appeals.rules.fields import AccessRule
from callcenter.appeals.rules.number import is_valid
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.rules.text_analysis import fold_name, stems, words
from callcenter.appeals.search import query
from callcenter.appeals.search.query import LIMIT, SearchFilter
from callcenter.demo.seed_appeals import load
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.requests import store as requests

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def test_invented_appeals_are_whole_and_found(
    settings: Settings, engine: AsyncEngine
) -> None:
    made: list[int] = []
    await load(settings, 300, 7, NOW, made.append)
    assert sum(made) == 300
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        rows = (await connection.execute(text("SELECT id, number FROM appeal"))).all()
        assert len({number for _, number in rows}) == 300
        assert all(is_valid(number) for _, number in rows)
        record = await store.find(connection, keys, rows[0].id)
        assert re.fullmatch("[0-9]{12}", str(record.content["applicant.identifier"]))
        said = str(record.content["content"]).split()
        found = await query.find(
            connection, keys, SearchFilter(" ".join(said[:2])), set(AccessRule)
        )
        assert len(found) > 0
        last = await connection.execute(text("SELECT sum(last) FROM appeal_counter"))
        assert last.scalar_one() == 300


async def test_bodies_have_requests_of_what_is_with_them(
    settings: Settings, engine: AsyncEngine
) -> None:
    await load(settings, 1500, 7, NOW, lambda _: None)
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        forwarded = text("SELECT appeal_id FROM record WHERE stage = 'forwarded'")
        with_bodies = list((await connection.execute(forwarded)).scalars())
        assert len(with_bodies) > 5
        assert await connection.scalar(text("SELECT count(*) FROM body_request")) == len(
            with_bodies
        )
        for appeal_id in with_bodies:
            assert await requests.is_with_body(connection, appeal_id)
            [request] = await requests.list_of_appeal(connection, keys, appeal_id)
            assert request.package is not None
            assert request.package.sha256 == request.sha256
            assert request.number is not None
            assert request.notified_at is not None
            found = await query.find(
                connection, keys, SearchFilter(request.number), set(AccessRule)
            )
            assert appeal_id in [each.id for each in found]


QUESTIONS = (
    SearchFilter("просит"),
    SearchFilter("муж алименты полиция"),
    SearchFilter("просит", stages=(AppealState.CLOSED,)),
    SearchFilter("қоңырау", stages=(AppealState.IN_WORK, AppealState.FORWARDED)),
    SearchFilter("просит", region="710000000"),
    SearchFilter(region="710000000"),
    SearchFilter("просит", since=NOW - timedelta(days=700), until=NOW - timedelta(days=30)),
    SearchFilter("просит", since=NOW - timedelta(days=3)),
    SearchFilter("просит", until=NOW - timedelta(days=1000)),
    SearchFilter("муж жәрдемақы"),
    SearchFilter("просит", kind=AppealKind.COMPLAINT, owner="consultant7"),
    SearchFilter(topic="family"),
    SearchFilter("полиция", topic="bullying", urgent=False, channel="call"),
    SearchFilter(urgent=True),
)


def is_of(topic: str, requested: str) -> bool:
    """Codes of parts begin with that of the whole, in the form that a center begins with."""
    return topic == requested or topic.startswith(f"{requested}_")


async def test_the_newest_are_found_as_by_looking_at_every_one(
    settings: Settings, engine: AsyncEngine
) -> None:
    await load(settings, 1500, 7, NOW, lambda _: None)
    keys = RecordKeys.read(settings)
    everything = text(
        "SELECT appeal_id, terms, received_at, stage, content->>'region' AS region,"
        " kind, owner, content->'topics' AS topics FROM record_search JOIN record USING (appeal_id)"
        " ORDER BY received_at DESC, appeal_id DESC"
    )
    async with unit_of_work(engine) as connection:
        rows = (await connection.execute(everything)).all()
        for question in QUESTIONS:
            requested = [{*stems(word), fold_name(word)} for word in words(question.text)]
            fit = [
                row.appeal_id
                for row in rows
                if all(forms & set(row.terms) for forms in requested)
                and (not question.stages or row.stage in question.stages)
                and question.region in ("", row.region)
                and question.owner in ("", row.owner)
                and question.kind in (None, row.kind)
                and (not question.topic or any(map(is_of, row.topics, repeat(question.topic))))
                and (not question.urgent or row.kind == "danger")
                and (question.since is None or row.received_at >= question.since)
                and (question.until is None or row.received_at < question.until)
            ]
            found = await query.find(connection, keys, question, set(AccessRule))
            assert [each.id for each in found] == fit[: LIMIT + 1], question


async def test_a_register_that_is_in_use_is_left_alone(
    settings: Settings, engine: AsyncEngine
) -> None:
    await load(settings, 2, 7, NOW, lambda _: None)
    with pytest.raises(InvalidRequest, match="empty"):
        await load(settings, 2, 7, NOW, lambda _: None)
