"""Pages that are open while nothing happens; `python -m tests.bench pages` measures them."""

import asyncio
import time

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from tests.bench.pages import (
    CONSULTANTS,
    SUPERVISORS,
    OpenPage,
    begin_sessions,
    open_pages,
)
from tests.bench.stock import extensions
from tests.bench.usage import run_seconds
from tests.web.live import line, person
from tests.web.live import sign_in as begin_work
from tests.web.test_live_stream import Site, site

assert site  # the fixture, which tests ask for by its name

HEARD = 6  # events of each workspace, while all is counted
#: Of the time of a core. A page costs far less: this fails where each one reads or renders alone.
SHARE = 0.25


async def have_heard(pages: list[OpenPage], count: int) -> None:
    """Return when each page has heard so many events more."""
    before = [page.events for page in pages]
    async with asyncio.timeout(60):
        while any(page.events < at + count for page, at in zip(pages, before, strict=True)):
            await asyncio.sleep(0.05)


async def test_open_pages_cost_little_while_nothing_happens(
    site: Site, engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    crew = [person(each) for each in extensions(CONSULTANTS)]
    async with unit_of_work(engine) as connection:
        for each in crew:
            await store.add(
                connection, extension=each.extension, name="A", languages=["kk"], digest="-"
            )
    tokens = await begin_sessions(settings, extensions(CONSULTANTS), SUPERVISORS)
    async with line(redis, settings, "line-1", *crew):
        await begin_work(redis, settings, *extensions(CONSULTANTS))
        async with open_pages(site.url, tokens) as pages:
            workspaces = pages[:CONSULTANTS]
            await have_heard(pages, 2)
            before = [(each.events, each.changes) for each in pages]
            began, ran = time.monotonic(), run_seconds({"web": site.process.pid})["web"]
            await have_heard(workspaces, HEARD)
            took = time.monotonic() - began
            ran = run_seconds({"web": site.process.pid})["web"] - ran
            after = [(each.events, each.changes) for each in pages]
    changes = [
        (now[0] - then[0], now[1] - then[1]) for now, then in zip(after, before, strict=True)
    ]
    # A stream begins with what is true; a reading that comes too late is shown as unknown.
    heard, shown = (sum(each) for each in zip(*changes[:CONSULTANTS], strict=True))
    assert shown < heard / 2
    # Wallboards hear as seldom as workspaces; of each reading they would six times as often.
    assert sum(each for each, _ in changes[CONSULTANTS:]) <= 3 * HEARD * SUPERVISORS
    assert ran < SHARE * took
