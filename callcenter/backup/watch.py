"""Watch over the place of backups: late backups, a late log, and notes that were removed."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.backup import log_archive
from callcenter.backup.actions import BackupAction
from callcenter.backup.alerts import BACKUP_LATE, BACKUP_NOTE_REMOVED
from callcenter.backup.continuity import (
    NUMBERS,
    NumberMark,
    Trust,
    find_removed,
    read_numbers,
    write_notes,
)
from callcenter.backup.place import StoredBackup, list_backups, open_place
from callcenter.backup.signature import signing_key
from callcenter.platform.audit import store as audit
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import raise_alert_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import ObjectStoreUnavailable

log = logging.getLogger(__name__)

#: Since the newest was read back: a day, and by so much one may take longer than the one before.
BACKUP_AFTER = timedelta(hours=25)
PROVEN = 1000  #: backups that are looked at: more than a place keeps
LOG_AFTER = timedelta(minutes=15)  # the worker's jobs leave something in the log each minute
NOTES_AFTER = timedelta(hours=1)  # the worker writes every minute
ALERT_INTERVAL = 3600  # seconds after which supervisors are alerted again of what lasts


class BackupLate(OperationFailed):
    """The newest backup, the archive of the log or the notes are older than they may be."""


async def watch_backups(tools: WorkerResources, redis: Redis, now: datetime) -> None:
    """Alert, once an hour, of what is late or removed, and write removed notes anew.

    Raises DependencyUnavailable, NoKey, SecretMissing and RedisError; the next run tries again.
    """
    place = open_place(tools.settings)
    try:
        async with unit_of_work(tools.engine) as connection:
            proven = await list_proven(connection)
        await asyncio.to_thread(describe_backups, tools.settings, proven, now)
        backups = await asyncio.to_thread(list_backups, place)
    except (BackupLate, ObjectStoreUnavailable) as exc:
        log.critical("backups late: %s", exc)
        await raise_alert_once(redis, BACKUP_LATE, "", "backups:late", ALERT_INTERVAL)
        return
    key = await asyncio.to_thread(signing_key, tools.settings)
    removed = await asyncio.to_thread(find_removed, place, key, backups[0].taken_at.date())
    if removed:
        names = ", ".join(map(str, removed))
        log.critical("note removed beside the backups, written anew: erasures of %s", names)
        await write_notes(tools, now, removed)
        await alert_of_removed(redis)


async def alert_of_removed(redis: Redis) -> None:
    """Alert of a note that somebody removed, once an hour. Raises RedisError."""
    await raise_alert_once(redis, BACKUP_NOTE_REMOVED, "", "backups:note", ALERT_INTERVAL)


async def list_proven(connection: AsyncConnection) -> dict[str, datetime]:
    """List the newest backups that were read back, with the time of that, by name.

    What a backup that was killed has left, or somebody has copied there, is none of them.
    """
    made = await audit.list_newest(connection, BackupAction.MADE, PROVEN)
    return {each.subject.removeprefix("backup:"): each.at for each in made}


def describe_backups(settings: Settings, proven: Mapping[str, datetime], now: datetime) -> str:
    """The age of the newest backup, and of the archived log, in words. It blocks.

    Raises BackupLate, ObjectStoreUnavailable.
    """
    place = open_place(settings)
    mark = read_numbers(place, Trust("", (NUMBERS,)))  # for its time alone, whoever signed it
    words = look_at_backups(list_backups(place), proven, mark, now)
    if settings.archives_log:
        return f"{words}, {look_at_log(log_archive.newest(place, now), now)}"
    return words


def look_at_backups(
    backups: Sequence[StoredBackup],
    proven: Mapping[str, datetime],
    mark: NumberMark | None,
    now: datetime,
) -> str:
    """The age in words of the newest backup that was read back, when `proven` says.

    Raises BackupLate when it is too old, or the worker has stopped to write its notes beside them.
    """
    whole = [each for each in backups if each.name in proven]
    if not whole:
        raise BackupLate("none was made yet: `callcenter backup`, then its timer")
    newest = whole[-1]
    words = f"the newest of {len(whole)} is of {newest.taken_at:%Y-%m-%d %H:%M} UTC"
    if now - proven[newest.name] > BACKUP_AFTER:
        raise BackupLate(f"{words}: look at callcenter-backup.timer")
    if mark is None or now - mark.at > NOTES_AFTER:
        raise BackupLate(f"{words}, but the worker notes no erasures beside it: look at its log")
    return words


def look_at_log(archived_at: datetime | None, now: datetime) -> str:
    """The age of the archive of the database's log in words.

    Raises BackupLate when it is too old.
    """
    if archived_at is None or now - archived_at > LOG_AFTER:
        since = f"since {archived_at:%Y-%m-%d %H:%M} UTC" if archived_at else "for a day"
        raise BackupLate(
            f"the database's log was not archived {since}: what is written now is on no other "
            "machine; look at the log of the archiver (docs/operations/backup-reference.md)"
        )
    return f"the log up to {archived_at:%H:%M} UTC is archived"
