"""Parts of the workspace: figures of the bar as they are pushed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.tables import web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.workspace import pages
from tests.web.browser import visible
from tests.web.live import line, sign_in, waiting
from tests.web.test_presence import consultant, distributor

__all__ = ["consultant", "distributor"]  # fixtures

PATIENCE = 30  # seconds


async def own_name(engine: AsyncEngine) -> str:
    async with unit_of_work(engine) as connection:
        return str((await connection.execute(select(web_user.c.name))).scalar_one())


@asynccontextmanager
async def pushed(
    app: FastAPI, redis: Redis, engine: AsyncEngine
) -> AsyncIterator[AsyncIterator[str]]:
    """What an open workspace of 201 hears."""
    site, feed = app.state.site, app.state.live_feed
    async with unit_of_work(engine) as connection:
        user = await users.find_user(connection, await own_name(engine))
    presence = PresenceService(redis, site.settings)
    async with feed.running():
        stream = pages.events(site, feed, presence, app.state.commands, Actor(user), "201", "en")
        async with aclosing(stream) as heard:
            yield heard


async def sees(heard: AsyncIterator[str], *words: str) -> str:
    """Read what is pushed until a person reads all of these words."""
    async with asyncio.timeout(PATIENCE):
        async for each in heard:
            if all(word in visible(each) for word in words):
                return visible(each)
    raise AssertionError(f"the stream ended without: {words}")


async def test_the_bar_tells_who_waits_and_who_is_free(
    app: FastAPI,
    settings: Settings,
    redis: Redis,
    engine: AsyncEngine,
    consultant: httpx.AsyncClient,
) -> None:
    rules = settings.model_copy(update={"sign_in_required": True})
    async with unit_of_work(engine) as connection:
        await store.add(connection, extension="203", name="A", languages=["kk"], digest="-")
        crew = await store.active(connection)
    async with (
        line(redis, rules, "line-1", *crew) as running,  # none of them speaks Russian
        waiting(running, "ru", 75.0),
        pushed(app, redis, engine) as heard,
    ):
        await sign_in(redis, settings, "201", "202")
        both = await sees(heard, "Waiting: 1", "Free: 2 of 2")
        assert "urgent:" not in both
        presence = PresenceService(redis, settings)
        await presence.ask("202", PresenceState.PAUSED, by="self", reason="lunch")
        async with waiting(running, "ru", 9.0, urgent=True):
            await sees(heard, "Waiting: 2 urgent: 1", "Free: 1 of 2")
            consultant.headers["accept-language"] = "en"
            opened = visible((await consultant.get("/workspace")).text)
            assert "Waiting: 2 urgent: 1" in opened
            assert "Free: 1 of 2" in opened
        assert "urgent:" not in await sees(heard, "Waiting: 1", "Free: 1 of 2")
