"""`callcenter archiver`: archive the database's log beside the backups."""

import logging
import signal
from threading import Event

import click

from callcenter.backup.archive_writer import refuse_without_key
from callcenter.backup.log_archive import archive_log
from callcenter.backup.place import open_place
from callcenter.launcher.sd_notify import ready
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import read_settings

log = logging.getLogger(__name__)

INTERVAL = 60  # seconds


@click.command("archiver")
def command() -> None:
    """Archive the database's log each minute, for a restore to any moment. Ends on SIGTERM.

    As the owner of the database, who must be one that may replicate it.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = read_settings()
    ready("archives the log")
    while not stop.is_set():
        try:
            refuse_without_key(settings)
            archive_log(settings, open_place(settings))
        except (CallcenterError, OSError) as exc:  # the server holds it back meanwhile
            log.warning("log not archived, again in a minute: %s", exc)
        stop.wait(INTERVAL)
