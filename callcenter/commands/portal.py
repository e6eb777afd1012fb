"""`callcenter portal`: the public pages on which applicants write."""

import asyncio
import logging

import click
from sqlalchemy import make_url

from callcenter.launcher.sd_notify import ready
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.monitoring.metrics_server import metrics_port, serve_metrics
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import open_database
from callcenter.platform.web.server import listen, run_server
from callcenter.portal.metrics import PortalMetrics
from callcenter.portal.pages import portal_application
from callcenter.portal.sealing import read_sealing_key

log = logging.getLogger("callcenter.portal")


@click.command(name="portal")
@click.option("--given", "is_given", is_flag=True, help="Take settings from the environment alone.")
def command(is_given: bool) -> None:
    """Serve the public pages until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(serve(in_portal_role(read_settings(reads_file=not is_given))))


def in_portal_role(settings: Settings) -> Settings:
    """The settings of the portal, which logs in as its own role and never as another.

    Raises InvalidRequest when it could log in as another alone, such as the owner.
    """
    ours = in_role(settings, DatabaseRole.PORTAL)
    if make_url(ours.database).username != DatabaseRole.PORTAL:
        raise InvalidRequest(
            f"the portal logs in as {DatabaseRole.PORTAL} alone, and has no password of it: "
            '`callcenter database-roles`, see "Database roles" in docs/operations/running.md'
        )
    return ours


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in progress are finished.

    Without the database the pages are there and say whom to call. Raises DependencyUnavailable when
    there is no key to seal to, or the port is not free.
    """
    read_sealing_key(settings)
    engine = open_database(settings)
    url = settings.portal_url or f"http://{settings.portal_host}:{settings.portal_port}"

    def announce() -> None:
        ready(url)
        log.info("pages served: %s", url)

    try:
        app, metrics = portal_application(settings, engine), PortalMetrics(settings, engine)
        address, port = str(settings.portal_address), metrics_port(settings, "portal")
        with listen(address, settings.portal_port, "CALLCENTER_PORTAL") as listener:
            async with serve_metrics(port, metrics.figures, metrics.needs):
                await run_server(app, listener, announce, lambda: None)
    finally:
        await engine.dispose()
