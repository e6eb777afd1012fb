"""Signing the head of the audit log, once a day, and checking the log (`worker.nightly` does)."""

import asyncio
import logging
from datetime import UTC, datetime

from procrastinate import JobContext

from callcenter.audit import head_files, store
from callcenter.audit.heads import Head, days_without, is_due, key_from
from callcenter.audit.verifying import faults
from callcenter.secrets import read_secret
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of

log = logging.getLogger(__name__)

SHOWN = 20  # faults; more are counted


async def sign_head(tools: Tools, now: datetime) -> None:
    """Write down, signed, what the newest entry is, unless that was done today (UTC).

    Tells when the head that is due was late or early, as after the clock was changed. May be killed
    anywhere, repeated, or done by two workers at once: one of them is kept. Does nothing while the
    log is empty. Raises NotReady, AskedWrongly, WeFailed and OSError.
    """
    folder = tools.settings.audit_heads
    kept = await asyncio.to_thread(head_files.read_all, folder)
    async with unit_of_work(tools.engine) as connection:
        last = await store.last(connection)
    if last is None or not is_due(kept.heads, now, last.id):
        return
    head, number = Head(last.id, last.hash, now), kept.of_day(now) + 1
    key = key_from(read_secret(tools.settings.secrets_folder, "audit"))
    await asyncio.to_thread(head_files.keep, folder, key, head, number)
    if number > 1:
        log.critical(
            "there was a head of today from before, as when the clock was changed:"
            " entry %d is signed in %s",
            last.id,
            head_files.file_of(folder, now, number).name,
        )
    missing = set(days_without([*kept.heads, head])) - set(days_without(kept.heads))
    if missing:
        log.critical(
            "no head was signed on %s: that of today covers what was written then",
            ", ".join(day.isoformat() for day in sorted(missing)),
        )


@jobs.periodic(cron="*/10 * * * *")
@jobs.task(name="audit.sign_head", pass_context=True, queueing_lock="audit.sign_head")
async def sign_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """`sign_head` every ten minutes: a worker that was away at midnight makes good for it."""
    await sign_head(tools_of(context), datetime.now(UTC))


async def verify(tools: Tools) -> int:
    """Tell at the level CRITICAL when the log is not as it was written (`callcenter audit verify`).

    Returns how many faults there are. Raises NotReady, and WeFailed when the heads cannot be read.
    """
    kept = await asyncio.to_thread(head_files.read_all, tools.settings.audit_heads)
    async with unit_of_work(tools.engine) as connection:
        entries, found = await faults(connection, kept)
    for fault in found[:SHOWN]:
        log.critical("audit log: %s", fault)
    if found:
        log.critical("%d faults in the audit log of %d entries", len(found), entries)
    return len(found)
