"""`callcenter web`: the pages and the API."""

import asyncio
import logging
import signal
import socket

import click
import uvicorn
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse import api as abuse_api
from callcenter.abuse import pages as abuse_pages
from callcenter.appeals import api as appeals_api
from callcenter.appeals import cut_off_api, hang_up_api, hang_up_pages, recordings_pages
from callcenter.appeals import pages as appeals_pages
from callcenter.consultants import api as consultants_api
from callcenter.consultants import calls
from callcenter.consultants import pages as consultants_pages
from callcenter.consultants.duty import DutyDesk
from callcenter.demands import api as demands_api
from callcenter.demands import authority_pages
from callcenter.demands import pages as demands_pages
from callcenter.dialling import api as dialling_api
from callcenter.dialling import pages as dialling_pages
from callcenter.errors import NotReady
from callcenter.figures import WebFigures
from callcenter.live import api as live_api
from callcenter.live import own as live_own
from callcenter.live import pages as live_pages
from callcenter.live import telephone as live_telephone
from callcenter.live.watch import Watch
from callcenter.people import api as people_api
from callcenter.people import pages as people_pages
from callcenter.plans import api as plans_api
from callcenter.plans import pages as plans_pages
from callcenter.promises import api as promises_api
from callcenter.promises import pages as promises_pages
from callcenter.recordings import api as recordings_api
from callcenter.recordings import erasing_api, erasing_pages
from callcenter.register import api as register_api
from callcenter.register import (
    attachments_api,
    attachments_pages,
    correspondence_api,
    correspondence_pages,
    form_api,
    lists_api,
    masking_api,
    masking_pages,
    reminders_api,
    status_api,
    steps_api,
    views_api,
)
from callcenter.register import form_pages as register_form
from callcenter.register import lists_pages as register_lists
from callcenter.register import pages as register_pages
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.redis import open_redis
from callcenter.up.notify import ready
from callcenter.up.observed import metrics_port, observed
from callcenter.web.api import check_database
from callcenter.web.application import make_application
from callcenter.web.site import Room

#: How long requests in progress may take to end after SIGTERM, in seconds.
GRACE = 10

ROOMS = (
    Room(
        "appeals",
        (
            appeals_pages.router,
            appeals_api.router,
            cut_off_api.router,
            hang_up_api.router,
            hang_up_pages.router,
            recordings_pages.router,
        ),
        appeals_pages.TEMPLATES,
    ),
    Room("people", (people_pages.router, people_api.router), people_pages.TEMPLATES),
    Room("abuse", (abuse_pages.router, abuse_api.router), abuse_pages.TEMPLATES),
    Room(
        "demands",
        (demands_pages.router, authority_pages.router, demands_api.router),
        demands_pages.TEMPLATES,
    ),
    Room("dialling", (dialling_pages.router, dialling_api.router)),
    Room("promises", (promises_pages.router, promises_api.router), promises_pages.TEMPLATES),
    Room("plans", (plans_pages.router, plans_api.router), plans_pages.TEMPLATES),
    Room(
        "register",
        (
            register_pages.router,
            register_pages.extending,
            attachments_pages.router,
            attachments_api.router,
            correspondence_pages.router,
            correspondence_api.router,
            masking_pages.router,
            masking_api.router,
            register_lists.router,
            register_form.router,
            register_api.router,
            reminders_api.router,
            steps_api.router,
            steps_api.extending,
            lists_api.router,
            views_api.router,
            form_api.router,
            status_api.router,
        ),
        register_pages.TEMPLATES,
    ),
    Room(
        "recordings",
        (recordings_api.router, erasing_api.router, erasing_pages.router),
        erasing_pages.TEMPLATES,
    ),
    Room(
        "consultants",
        (consultants_api.router, consultants_pages.router, calls.router),
        consultants_pages.TEMPLATES,
    ),
    Room(
        "live",
        (live_pages.router, live_own.router, live_telephone.router, live_api.router),
        live_pages.TEMPLATES,
    ),
)

log = logging.getLogger("callcenter.web")


def application(settings: Settings, engine: AsyncEngine, redis: Redis) -> FastAPI:
    """The whole site."""
    app = make_application(settings, engine, redis, ROOMS)
    app.state.watch = Watch(engine, redis, settings)
    return app


@click.command(name="web")
def command() -> None:
    """Serve the pages and the API until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(serve(read_settings()))


async def serve(settings: Settings) -> None:
    """Serve until told to stop; requests in progress are finished.

    Raises NotReady when the database is not there or the port is not free.
    """
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await check_database(engine)
        app = application(settings, engine, redis)
        watch: Watch = app.state.watch
        with _listen(settings) as listener:
            url = f"http://{settings.web_address}:{settings.web_port}"
            served = asyncio.create_task(DutyDesk(redis, settings).pages_served())
            try:
                told = WebFigures(app.state.answers, lambda: _is_ready(engine))
                port = metrics_port(settings, "web")
                async with watch.running(), observed(port, told.figures, told.needs):
                    await _run(app, watch, listener, url)
            finally:
                served.cancel()
                await asyncio.wait((served,))
    finally:
        await redis.aclose()
        await engine.dispose()


async def _is_ready(engine: AsyncEngine) -> bool:
    try:
        await check_database(engine)
    except NotReady:
        return False
    return True


def _listen(settings: Settings) -> socket.socket:
    address = (str(settings.web_address), settings.web_port)
    try:
        return socket.create_server(address, backlog=256)
    except OSError as exc:
        raise NotReady(
            f"cannot listen on {address[0]}:{address[1]} ({exc.strerror}): "
            "stop what uses it, or set CALLCENTER_WEB_PORT or CALLCENTER_WEB_ADDRESS"
        ) from exc


async def _run(app: FastAPI, watch: Watch, listener: socket.socket, url: str) -> None:
    # The access log is our own (web.edge): uvicorn's has paths and queries, which are personal.
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        lifespan="off",
        # Not what happens to be installed, as what tests bring: the same everywhere.
        http="h11",
        ws="none",
    )
    server = _Server(config, watch, url)
    # After a graceful stop uvicorn raises the signal again; without this the process would die
    # of it before the database is let go of.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Announces readiness when requests are accepted, not before; ends streams when it stops."""

    def __init__(self, config: uvicorn.Config, watch: Watch, url: str) -> None:
        super().__init__(config)
        self._watch = watch
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        ready(self._url)
        log.info("serving on %s", self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._watch.end()  # a stream would go on for its whole time of grace
        await super().shutdown(sockets)
