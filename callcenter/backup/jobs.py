"""Jobs of backups: notes for a restore, and a watch over the place."""

import asyncio
from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.backup.continuity import is_removed, write_notes
from callcenter.backup.place import open_place
from callcenter.backup.watch import alert_of_removed, watch_backups
from callcenter.platform.storage.jobs import jobs, tools_of
from callcenter.platform.storage.redis import open_redis


@jobs.periodic(cron="* * * * *")
@jobs.task(name="backup.write_notes", pass_context=True, queueing_lock="backup.write_notes")
async def write_notes_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`write_notes` every minute, where there is a place for backups."""
    tools = tools_of(context)
    if tools.settings.backup_store is None:
        return
    was_removed = await asyncio.to_thread(is_removed, open_place(tools.settings))
    await write_notes(tools, datetime.now(UTC))
    if was_removed:
        async with open_redis(tools.settings) as redis:
            await alert_of_removed(redis)


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="backup.watch", pass_context=True, queueing_lock="backup.watch")
async def watch_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """`watch_backups` every ten minutes, where there is a place for backups."""
    tools = tools_of(context)
    if tools.settings.backup_store is not None:
        async with open_redis(tools.settings) as redis:
            await watch_backups(tools, redis, datetime.now(UTC))
