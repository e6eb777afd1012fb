"""Parts of the workspace: figures of the bar as they are pushed, colleagues, and the own day."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.tables import record_reminder
from callcenter.consultants import store
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity import store as users
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.tables import web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.workspace import pages
from tests.polling import until
from tests.web.browser import visible
from tests.web.conftest import open_call
from tests.web.live import line, sign_in, waiting
from tests.web.test_presence import consultant, distributor

__all__ = ["consultant", "distributor"]  # fixtures

PATIENCE = 30  # seconds
#: Whether it is late, its moment, and the number of the appeal.
REMINDER = re.compile(r'<span( class="badge bad")?>([^<]+)</span> <a href="/appeals/(\d+)">')


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


async def test_colleagues_for_a_transfer_are_listed_free_first(
    settings: Settings, redis: Redis, engine: AsyncEngine, consultant: httpx.AsyncClient
) -> None:
    consultant.headers["accept-language"] = "en"
    async with unit_of_work(engine) as connection:
        await store.add(connection, extension="203", name="AAA", languages=["ru"], digest="-")
        await store.set_skills(connection, "202", {"psychologist": 3})
        crew = await store.active(connection)

    async def are_listed() -> bool:
        listed = visible((await consultant.get("/workspace/colleagues")).text)
        psychologist = r"free: 1 .*A 202 \S* Free · Kazakh · \w+"
        return re.search(rf"{psychologist} AAA 203 \S* On a pause · Russian", listed) is not None

    rules = settings.model_copy(update={"sign_in_required": True})
    async with line(redis, rules, "line-1", *crew):
        await sign_in(redis, settings, "201", "202", "203")
        presence = PresenceService(redis, settings)
        await presence.ask("203", PresenceState.PAUSED, by="self", reason="lunch")
        await until(are_listed, "both are listed, who is free first", PATIENCE)


async def test_the_own_day_has_ones_reminders_until_midnight(
    consultant: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    now, name = datetime.now(UTC), await own_name(engine)
    midnight = now.astimezone(ZONE).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    moments = {
        "late": (name, now - timedelta(hours=30), None),
        "in time": (name, midnight - timedelta(seconds=2), None),
        "of tomorrow": (name, midnight + timedelta(hours=12), None),
        "done": (name, now - timedelta(minutes=1), now),
        "another's": ("somebody", now - timedelta(minutes=1), None),
    }
    numbers = {}
    for which, (user, due_at, done_at) in moments.items():
        appeal_id, numbers[which] = await open_call(engine, f"call-{which}", now)
        reminder = {"id": uuid4(), "appeal_id": appeal_id, "user_name": user, "due_at": due_at}
        done = {"done_at": done_at, "done_by": done_at and f"user:{user}"}
        async with unit_of_work(engine) as connection:
            await connection.execute(
                insert(record_reminder).values(**reminder, **done, sealed=b"-")
            )
    day = (await consultant.get("/workspace/day")).text
    shown = REMINDER.findall(day)
    assert [number for _, _, number in shown] == [numbers["late"], numbers["in time"]]
    assert [bool(is_late) for is_late, _, _ in shown] == [True, False]
    assert shown[1][1] == f"{midnight - timedelta(seconds=2):%d.%m.%Y, %H:%M:%S}"
