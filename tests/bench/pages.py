"""Open pages: what 60 workspaces and 5 wallboards cost all processes while nothing happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from callcenter.consultants import store as consultants
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store as users
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.storage.engine import open_database, unit_of_work
from tests.bench.results import table
from tests.bench.rig import rig
from tests.bench.sides import Product, Stock
from tests.bench.stock import extensions
from tests.bench.usage import run_seconds

CONSULTANTS, SUPERVISORS = 60, 5
LIMIT = 50.0  # milliseconds of CPU a second: 5 % of a core
RENEW = 200.0  # seconds after which a page begins its stream anew (live.js)
OPENS = 3.0  # seconds over which the pages are opened
SETTLES = 12.0  # seconds: longer than from one report of an open page to the next
WORKSPACE, WALLBOARD = "/workspace/events", "/live/events"


async def pages(seconds: float, built: Path) -> str:
    """A row for each process: milliseconds of CPU a second without the pages, and with them."""
    sides: list[Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Product:
        sides.append(Product(folder, prompts, stock))
        return sides[0]

    async with rig(make, Stock(CONSULTANTS), built):
        (side,) = sides
        tokens = await begin_sessions(side.settings, extensions(CONSULTANTS), SUPERVISORS)
        await asyncio.sleep(SETTLES)
        roots = side.roots()
        before = await _used(roots, seconds)
        async with open_pages(f"http://127.0.0.1:{side.settings.web_port}", tokens):
            await asyncio.sleep(SETTLES)
            after = await _used(roots, seconds)
    rows: list[tuple[str, ...]] = [("process", "without, ms a second", "with", "the pages")]
    rows += [
        (name, *(f"{each:.1f}" for each in (before[name], after[name], after[name] - before[name])))
        for name in roots
    ]
    cost = sum(after.values()) - sum(before.values())
    rows.append(("all", f"{sum(before.values()):.1f}", f"{sum(after.values()):.1f}", f"{cost:.1f}"))
    verdict = "within" if cost < LIMIT else "ABOVE"
    return f"{table(rows)}\n\n{cost / 10:.1f} % of a core: {verdict} the limit of {LIMIT / 10:g} %"


async def begin_sessions(
    settings: Settings, at_work: Sequence[str], supervisors: int
) -> Mapping[str, Sequence[str]]:
    """Tokens by address of the stream: one consultant each for these extensions, and supervisors.

    Sessions are begun as by a sign-in, in the database.
    """
    engine = open_database(settings)
    tokens: dict[str, list[str]] = {WORKSPACE: [], WALLBOARD: []}
    people = [(WORKSPACE, Role.CONSULTANT, each) for each in at_work]
    people += [(WALLBOARD, Role.SENIOR, "") for _ in range(supervisors)]
    for number, (path, role, extension) in enumerate(people):
        name, token = f"page-{number}", new_token()
        async with unit_of_work(engine) as connection:
            await users.add_user(connection, name=name, role=role, password_hash="-")
            if extension:
                identity = await consultants.id_of(connection, extension)
                await users.link_consultant(connection, name=name, consultant_id=identity)
            user = await users.find_user(connection, name)
            assert user is not None
            await users.begin_session(connection, user_id=user.id, token=token)
        tokens[path].append(token)
    await engine.dispose()
    return tokens


class OpenPage:
    """The stream of an open page, begun anew as the page does; counts what it hears."""

    def __init__(self, client: httpx.AsyncClient, path: str, token: str) -> None:
        self._client = client
        self._headers = {"cookie": f"callcenter={token}"}
        self.path = path
        self.events = 0
        self.changes = 0  #: events that show something
        self.heard = asyncio.Event()

    async def keep(self, place: float) -> None:
        """Keep it open until cancelled; streams begin at this place (0 to 1) of each interval.

        A stream is left only when the next one has said something.
        """
        await asyncio.sleep(OPENS * place)
        left = RENEW * place
        before: asyncio.Task[None] | None = None
        try:
            while True:
                begun = asyncio.Event()
                reading = asyncio.create_task(self._read(begun))
                await begun.wait()
                if reading.done():
                    await reading  # raises why the server gave none
                before = await _leave(before, reading)
                await asyncio.wait((reading,), timeout=left)
                left = RENEW
        finally:
            await _leave(before, None)

    async def _read(self, begun: asyncio.Event) -> None:
        try:
            async with self._client.stream("GET", self.path, headers=self._headers) as answer:
                answer.raise_for_status()
                data: list[str] = []
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        data.append(line)
                    elif not line and data:
                        self.events += 1
                        self.changes += data != ["data: ="]
                        data.clear()
                        begun.set()
                        self.heard.set()
        finally:
            begun.set()


async def _leave(
    before: asyncio.Task[None] | None, after: asyncio.Task[None] | None
) -> asyncio.Task[None] | None:
    if before is not None:
        before.cancel()
        with suppress(asyncio.CancelledError, httpx.HTTPError):
            await before
    return after


@asynccontextmanager
async def open_pages(
    url: str, tokens: Mapping[str, Sequence[str]]
) -> AsyncIterator[list[OpenPage]]:
    """All pages are open within the block; their streams begin anew evenly over the time."""
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=10, limits=limits)
        )
        opened = [OpenPage(client, path, token) for path, each in tokens.items() for token in each]
        tasks = [
            asyncio.create_task(page.keep((number + 1) / len(opened)))
            for number, page in enumerate(opened)
        ]
        heard = asyncio.gather(*(page.heard.wait() for page in opened))
        try:
            waits: list[asyncio.Future[Any]] = [heard, *tasks]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    await task  # raises why a page has no stream
            yield opened
        finally:
            heard.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(heard, *tasks, return_exceptions=True)


async def _used(roots: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Milliseconds of CPU a second, over so many seconds."""
    begun, ran = time.monotonic(), run_seconds(roots)
    await asyncio.sleep(seconds)
    took, ran_then = time.monotonic() - begun, run_seconds(roots)
    return {name: (ran_then[name] - ran[name]) * 1000 / took for name in roots}
