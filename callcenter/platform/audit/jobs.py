"""Jobs of the audit log: sign its checkpoint once a day, verify the log every night."""

import asyncio
import logging
from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.platform.audit import checkpoint_files, store
from callcenter.platform.audit.rules.checkpoints import Checkpoint, days_without, is_due, key_from
from callcenter.platform.audit.verifier import find_faults
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of

log = logging.getLogger(__name__)

#: The job that signs a checkpoint at once.
SIGN_NOW = "audit.sign_now"

SHOWN = 20  # faults; more are counted


async def sign_checkpoint(tools: WorkerResources, now: datetime, *, at_once: bool = False) -> None:
    """Sign the newest entry as today's checkpoint (UTC), or (`at_once`) as one more of today.

    Does nothing when there is one of today, or (`at_once`) one of that entry, or no entry. Logs
    when the checkpoint is late or early, as after the clock was changed. May be killed anywhere,
    repeated, or done by two workers at once: one of them is kept. Raises DependencyUnavailable,
    InvalidRequest, OperationFailed and OSError.
    """
    folder = tools.settings.audit_heads
    checkpoints = await asyncio.to_thread(checkpoint_files.read_all, folder)
    async with unit_of_work(tools.engine) as connection:
        last = await store.last(connection)
    if last is None:
        return
    if checkpoints.covers(last.id) if at_once else not is_due(checkpoints.heads, now, last.id):
        return
    head, number = Checkpoint(last.id, last.hash, now), checkpoints.of_day(now) + 1
    key = key_from(read_secret(tools.settings.secrets_folder, "audit"))
    await asyncio.to_thread(checkpoint_files.write, folder, key, head, number)
    if at_once:
        written = await asyncio.to_thread(checkpoint_files.read_all, folder)
        if not written.covers(last.id):  # another worker was first with a file of this name
            await sign_checkpoint(tools, now, at_once=True)
    elif number > 1:
        log.critical(
            "second checkpoint of today, as when the clock was changed: entry %d is signed in %s",
            last.id,
            checkpoint_files.file_of(folder, now, number).name,
        )
    missing = set(days_without([*checkpoints.heads, head])) - set(days_without(checkpoints.heads))
    if missing:
        log.critical(
            "checkpoint missing: none was signed on %s, that of today covers its entries",
            ", ".join(day.isoformat() for day in sorted(missing)),
        )


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="audit.sign_head", pass_context=True, queueing_lock="audit.sign_head")
async def sign_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Run `sign_checkpoint` every ten minutes, so a worker that was down makes up for it."""
    await sign_checkpoint(tools_of(context), datetime.now(UTC))


@jobs.task(name=SIGN_NOW, pass_context=True, queueing_lock=SIGN_NOW)
async def sign_now_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Sign a checkpoint at once, for what nobody is to deny later (`enqueue_once`)."""
    await sign_checkpoint(tools_of(context), datetime.now(UTC), at_once=True)


async def verify(tools: WorkerResources) -> int:
    """Verify the audit log, and log its faults at CRITICAL (`callcenter audit verify`).

    Returns the number of faults. Raises DependencyUnavailable, and OperationFailed when the
    checkpoints cannot be read.
    """
    checkpoints = await asyncio.to_thread(checkpoint_files.read_all, tools.settings.audit_heads)
    async with unit_of_work(tools.engine) as connection:
        entries, found = await find_faults(connection, checkpoints)
    for fault in found[:SHOWN]:
        log.critical("audit log verification failed: %s", fault)
    if found:
        log.critical("audit log verification failed: %d faults in %d entries", len(found), entries)
    return len(found)
