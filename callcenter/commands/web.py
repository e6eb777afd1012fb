"""`callcenter web`: the pages and the API."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bootstrap.data_secrets import RECORDINGS, ensure_secrets
from callcenter.bootstrap.metrics import WebMetrics
from callcenter.bootstrap.web import application, web_modules
from callcenter.launcher.process_secrets import OF_WEB
from callcenter.launcher.sd_notify import ready
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.monitoring.metrics_server import metrics_port, serve_metrics
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.redis import open_redis, refuse_eviction
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.platform.web.application import background_loops
from callcenter.platform.web.context import AppContext
from callcenter.platform.web.health import check_database
from callcenter.platform.web.server import listen, run_server
from callcenter.wallboard.live_feed import LiveFeed

log = logging.getLogger("callcenter.platform.web")


@click.command(name="web")
def command() -> None:
    """Serve the pages and the API until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = in_role(read_settings(), DatabaseRole.WEB)
    # What is uploaded waits there, in files without a name: the process writes no other folder.
    settings.exports.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.tempdir = str(settings.exports)
    asyncio.run(serve(as_redis_user(settings, RedisUser.WEB)))


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in progress are finished, unless it raises.

    Raises DependencyUnavailable when the database is not there, Redis evicts keys, or the port is
    not free; ExceptionGroup when what runs beside the pages has failed.
    """
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await check_database(engine)
        await refuse_eviction(redis)
        await ensure_secrets(settings, engine, (*OF_WEB, RECORDINGS))
        app = application(settings, engine, redis)
        feed: LiveFeed = app.state.live_feed
        address = str(settings.web_address)
        with listen(address, settings.web_port, "CALLCENTER_WEB") as listener:
            url = f"http://{address}:{settings.web_port}"

            def announce() -> None:
                ready(url)
                log.info("pages served: %s", url)

            site: AppContext = app.state.site
            metrics = WebMetrics(app.state.answers, lambda: _is_ready(engine))
            figures = serve_metrics(metrics_port(settings, "web"), metrics.figures, metrics.needs)
            loops = background_loops(site, web_modules())
            async with running_beside(loops), feed.running(), figures:
                # A stream would go on for its whole time of grace.
                await run_server(app, listener, announce, feed.end)
    finally:
        await redis.aclose()
        await engine.dispose()


@asynccontextmanager
async def running_beside(loops: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run these until the block ends; one that fails ends the block, and is raised.

    Whoever starts the process anew is better than streams of sessions that are over, which go on
    unnoticed.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in loops]
        yield
        for each in tasks:
            each.cancel()


async def _is_ready(engine: AsyncEngine) -> bool:
    try:
        await check_database(engine)
    except DependencyUnavailable:
        return False
    return True
