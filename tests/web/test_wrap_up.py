"""After a call: wrap-up is held over an unsaved record, and recovery is no pause."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.tables import record, record_draft
from callcenter.consultants import state_history
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.consultants.tables import consultant as people
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.tables import web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.workspace import pages
from tests.web.browser import visible
from tests.web.conftest import open_call
from tests.web.test_presence import consultant, distributor

__all__ = ["consultant", "distributor"]  # fixtures

WRAP_UP, LIMIT = 30.0, 90.0  # seconds
PATIENCE = 30  # seconds


class Wrapped:
    """A consultant whose conversation about `number` has just ended, before an open workspace."""

    def __init__(self, number: str, redis: Redis, shown: AsyncIterator[str]) -> None:
        self.number = number
        self._redis = redis
        self._shown = shown

    async def lasts(self) -> float:
        """Seconds of wrap-up from its beginning to its end, as the distributor has it."""
        ends = await self._redis.zscore("desk:wrap_up", "201")
        state = str(await self._redis.hget("desk:states", "201")).split(" ")
        assert ends is not None
        assert state[0] == "wrap_up"
        return float(ends) - float(state[1])

    async def sees(self, words: str) -> str:
        """Read the page's events until they say so."""
        async with asyncio.timeout(PATIENCE):
            async for each in self._shown:
                if words in each:
                    return each
        raise AssertionError(f"the stream ended without: {words}")

    async def hears_nothing_new(self) -> None:
        async with asyncio.timeout(PATIENCE):
            async for each in self._shown:
                if each == pages.UNCHANGED:
                    return


@pytest.fixture
async def number(engine: AsyncEngine, consultant: httpx.AsyncClient) -> str:
    """The appeal of a call that the consultant has answered."""
    appeal_id, number = await open_call(engine, "call-1", datetime.now(UTC) - timedelta(minutes=5))
    own = select(people.c.id).where(people.c.extension == "201").scalar_subquery()
    async with unit_of_work(engine) as connection:
        await connection.execute(
            update(appeal).where(appeal.c.id == appeal_id).values(consultant_id=own)
        )
    return number


@asynccontextmanager
async def wrapped(
    app: FastAPI, settings: Settings, redis: Redis, number: str, limit: float = LIMIT
) -> AsyncIterator[Wrapped]:
    rules = settings.model_copy(
        update={"sign_in_required": True, "wrap_up": WRAP_UP, "wrap_up_limit": limit}
    )
    site, feed = replace(app.state.site, settings=rules), app.state.live_feed
    presence = PresenceService(redis, rules)
    distributing = RedisCallDistributor(redis, "line-1", rules)
    async with unit_of_work(site.engine) as connection:
        name = (await connection.execute(select(web_user.c.name))).scalar_one()
        user = await users.find_user(connection, name)
    await presence.ask("201", PresenceState.READY, by="self", page=True)
    await distributing.script("occupy", "outgoing-1", "line-1", "201")
    await distributing.script("leave", "outgoing-1", "talked")
    async with feed.running():
        stream = pages.events(site, feed, presence, app.state.commands, Actor(user), "201", "en")
        async with aclosing(stream) as shown:
            yield Wrapped(number, redis, shown)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at with every reading."""
    monkeypatch.setattr(pages, "HELD", 60.0)
    monkeypatch.setattr(pages, "CALL_POLLING_INTERVAL", 0.0)


async def save(engine: AsyncEngine, number: str) -> None:
    """A record is there, as saved by anybody."""
    async with unit_of_work(engine) as connection:
        own = select(appeal.c.id).where(appeal.c.number == number).scalar_subquery()
        values = {"version": 1, "stage": "contact", "content": {}, "changed_at": datetime.now(UTC)}
        await connection.execute(insert(record).values(appeal_id=own, **values))


async def draft(engine: AsyncEngine, number: str, author: str) -> None:
    async with unit_of_work(engine) as connection:
        own = select(appeal.c.id).where(appeal.c.number == number).scalar_subquery()
        values = {"version": 1, "sealed": b"-", "saved_at": datetime.now(UTC)}
        await connection.execute(
            insert(record_draft).values(appeal_id=own, author=author, **values)
        )


async def own_name(engine: AsyncEngine) -> str:
    async with unit_of_work(engine) as connection:
        return str((await connection.execute(select(web_user.c.name))).scalar_one())


async def test_no_next_call_comes_over_an_unwritten_record(
    app: FastAPI, settings: Settings, redis: Redis, engine: AsyncEngine, number: str
) -> None:
    async with wrapped(app, settings, redis, number) as page:
        held = await page.sees("at the latest")
        assert "The record of this call is not saved." in held
        assert await page.lasts() > WRAP_UP
        await save(engine, number)
        assert "is not saved" not in await page.sees("next call in")


async def test_no_next_call_comes_over_what_is_typed_unsaved(
    app: FastAPI, settings: Settings, redis: Redis, engine: AsyncEngine, number: str
) -> None:
    await save(engine, number)
    await draft(engine, number, f"user:{await own_name(engine)}")
    async with wrapped(app, settings, redis, number) as page:
        await page.sees("at the latest")
        assert await page.lasts() > WRAP_UP


async def test_wrap_up_is_not_held_over_a_saved_record(
    app: FastAPI, settings: Settings, redis: Redis, engine: AsyncEngine, number: str
) -> None:
    await save(engine, number)
    await draft(engine, number, "user:somebody-else")
    async with wrapped(app, settings, redis, number) as page:
        assert "at the latest" not in await page.sees("next call in")
        await page.hears_nothing_new()
        assert await page.lasts() == pytest.approx(WRAP_UP, abs=1)


async def test_the_limit_of_wrap_up_holds_over_an_unsaved_record(
    app: FastAPI,
    settings: Settings,
    redis: Redis,
    distributor: RedisCallDistributor,
    number: str,
) -> None:
    limit = WRAP_UP + 5
    async with wrapped(app, settings, redis, number, limit) as page:
        await page.sees("at the latest")
        for _ in range(3):
            await page.hears_nothing_new()
        assert await page.lasts() == pytest.approx(limit, abs=0.001)
        await redis.zadd("desk:wrap_up", {"201": 1.0})  # it is over
        await distributor.script("tick", "line-1")
        free = await page.sees("Free")
        assert "the next call may come now" in free


async def test_recovery_is_no_pause_of_the_own_day(
    consultant: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=10)
    recovers = PresenceChange("201", PresenceState.PAUSED, "recovery", since, "self")
    async with unit_of_work(engine) as connection:
        await state_history.save(connection, [recovers])
    consultant.headers["accept-language"] = "en"
    day = visible((await consultant.get("/workspace/day")).text)
    assert "On a pause 0:00" in day
    assert "Recovery after a hard call" in day
