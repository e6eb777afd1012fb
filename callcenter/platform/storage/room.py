"""Storage: what it registers; the tables of jobs and migrations are their libraries'."""

from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.platform.storage.tables import secret_fingerprint

ROOM = Room(
    name="storage",
    offers=(
        TableRights(secret_fingerprint, worker="sid", web="sid"),
        # That a job waits already, procrastinate learns from a detail that PostgreSQL shows to
        # those who may read the lock.
        TableRights(
            "procrastinate_jobs",
            controller="si",
            worker="siud",
            web="si",
            columns={
                ("controller", "s"): ("id", "queueing_lock"),
                ("web", "s"): ("id", "queueing_lock"),
            },
        ),
        TableRights("procrastinate_events", controller="i", worker="siud", web="i"),
        TableRights("procrastinate_workers", worker="siud"),
        TableRights("procrastinate_periodic_defers", worker="siud"),
        TableRights("alembic_version"),
    ),
)
