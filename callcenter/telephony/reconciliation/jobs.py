"""Jobs of reconciliation: every call in CEL gets its appeal (R25), fallback calls too.

The CEL file is read from the saved position; the position, and the calls of the lines that are not
accounted for, are saved in the same transaction. So a job may be killed
anywhere, run twice, or run beside another: every line counts once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from procrastinate import JobContext
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.masking import store as masking_store
from callcenter.appeals.rules.number import NumbersExhausted
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import raise_alert_of_new
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, enqueue_after, jobs, tools_of
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.asterisk.ami import ask_once
from callcenter.telephony.calls.journal.spool import pending_spools
from callcenter.telephony.reconciliation import (
    backfill,
    cel_tail,
    loader,
    orphaned_files,
    rules,
    store,
)
from callcenter.telephony.reconciliation.alerts import LEDGER_DIFFERS
from callcenter.telephony.reconciliation.cel import parse
from callcenter.telephony.reconciliation.cel_masking import mask_numbers
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall, take
from callcenter.telephony.reconciliation.repair import repair_discrepancies
from callcenter.telephony.reconciliation.rules import Discrepancy

log = logging.getLogger(__name__)

# Starts when the end of a call is noticed, with the database available: a controller that could not
# write has had time to, and Asterisk to write its last lines and to close the recording.
GRACE_PERIOD = timedelta(seconds=30)
SHOWN = 5  # names of files in one message
BATCH = 100  # calls looked at in one transaction
CHECK = "ledger.check_calls"
# After which a call that is over is accounted for, its recording closed and files given to calls.
CHECK_AFTER = orphaned_files.QUIET_AFTER + timedelta(minutes=5)
CHECK_WINDOW = timedelta(days=2)  # every night: so what one night could not do, the next does
MASKED_SINCE = timedelta(days=2)  # of CEL, beyond its term: a file is of a day, and deleted later
SWITCH_LIMIT = 5.0  # seconds to connect to Asterisk
ALERT_REPEAT_AFTER = 5 * 86_400  # seconds, longer than a difference is looked at


class AlreadyRunning(OperationFailed):
    """Another worker reads the CEL file."""


async def account_for_calls(tools: WorkerResources, grace: timedelta = GRACE_PERIOD) -> None:
    """Read the CEL file on, and backfill the appeal of every ended call.

    A call has ended when CEL has its end, or when Asterisk has no channel of it any more. Files
    of recordings without a row are bound to their call, or logged. Does nothing while another
    worker does it. Raises DependencyUnavailable without a database, OSError when the CEL file
    cannot be read."""
    try:
        # To its end first: an end may stand in the part that is not read yet.
        while await read_on(tools):
            pass
        await _mark_lost_over(tools)
        if await asyncio.to_thread(pending_spools, tools.settings.journals):
            # Its entries would find their call with another appeal, and be refused.
            log.warning("backfill postponed: journals wait for the database")
            return
        await _settle_all_over(tools, grace)
        await _bind_orphans(tools)
    except AlreadyRunning as exc:
        log.info("reconciliation skipped: %s", exc)


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="ledger.account_for_calls", pass_context=True, queueing_lock="ledger.account_for_calls"
)
async def account_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`account_for_calls` at the worker's start and every minute."""
    await account_for_calls(tools_of(context))


@jobs.periodic(cron="30 21 * * *")  # UTC: half past two at night in Asia/Almaty
@jobs.task(name=CHECK, pass_context=True, queueing_lock=CHECK)
async def check_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`check_calls` of two days, every night and after every recovery; repairs, and alerts."""
    until, tools = datetime.now(UTC) - CHECK_AFTER, tools_of(context)
    try:
        found, repaired = await check_calls(
            tools, since=until - CHECK_WINDOW, until=until, repair=True
        )
    except (OperationFailed, OSError) as exc:
        await _alert_supervisors(tools.settings, [f"{until:%Y-%m-%d}: {type(exc).__name__}"])
        raise
    for each in repaired:
        log.warning("discrepancy repaired: %s %s: %s", each.kind, each.subject, each.why)
    left = [each for each in found if each not in repaired]
    for each in left[:SHOWN]:
        log.critical("discrepancy found: %s %s: %s", each.kind, each.subject, each.why)
    if left:
        log.critical("discrepancies left: %d, see `callcenter check calls`", len(left))
    await _alert_supervisors(tools.settings, [f"{each.kind} {each.subject}" for each in left])


@jobs.periodic(cron="15 20 * * *")  # UTC: after appeals are masked by rules
@jobs.task(name="ledger.mask", pass_context=True, queueing_lock="ledger.mask")
async def mask_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`mask_cel` every night."""
    masked = await mask_cel(tools_of(context), datetime.now(UTC))
    log.info("masking of CEL finished: %d numbers", masked)


async def mask_cel(tools: WorkerResources, now: datetime) -> int:
    """Mask the numbers in CEL of appeals that were masked within its term.

    Returns how many. Raises DependencyUnavailable without a database, OSError.
    """
    cel_file = cel_file_of(tools.settings)
    async with unit_of_work(tools.engine) as connection:
        since = now - timedelta(days=tools.settings.cel_days) - MASKED_SINCE
        masked = await masking_store.list_masked(connection, since, now)
        position = await store.read_position(connection, cel_file)
    call_ids = {each.call_id for each in masked if each.call_id is not None}
    if not call_ids:
        return 0
    return await asyncio.to_thread(mask_numbers, cel_file, call_ids, position)


async def _alert_supervisors(settings: Settings, subjects: Sequence[str]) -> None:
    """Alert supervisors of new discrepancies; a failure is logged."""
    try:
        async with open_redis(settings) as redis:
            await raise_alert_of_new(redis, LEDGER_DIFFERS, subjects, ALERT_REPEAT_AFTER)
    except (RedisError, OSError) as exc:
        log.error("discrepancy alert failed: %s", type(exc).__name__)


async def check_calls(
    tools: WorkerResources, *, since: datetime, until: datetime, repair: bool
) -> tuple[list[Discrepancy], list[Discrepancy]]:
    """Compare calls that began from `since` to `until` with CEL.

    Returns the discrepancies, and those of them that were repaired. Raises
    DependencyUnavailable without a database, OperationFailed and OSError for unreadable files."""
    cel_file = cel_file_of(tools.settings)
    try:  # before the CEL file is read: a call that ends meanwhile has its end there
        live_channels: set[str] | None = await _list_channels(tools.settings)
    except OperationFailed as exc:
        log.warning("query of Asterisk's channels failed: %s", exc)
        live_channels = None
    snapshot = await loader.load_snapshot(
        tools.settings,
        tools.engine,
        cel_file,
        since=since,
        until=until,
        live_channels=live_channels,
    )
    found = rules.find(snapshot)
    return found, await repair_discrepancies(tools, cel_file, found) if repair else []


@asynccontextmanager
async def _exclusive(tools: WorkerResources) -> AsyncIterator[AsyncConnection]:
    """A transaction that holds the lock of the CEL file. Raises AlreadyRunning."""
    async with unit_of_work(tools.engine) as connection:
        if not await store.try_lock(connection):
            raise AlreadyRunning
        yield connection


async def read_on(tools: WorkerResources) -> bool:
    """Process the next chunk of the CEL file; False when there is none."""
    cel_file = cel_file_of(tools.settings)
    async with _exclusive(tools) as connection:
        chunk = await asyncio.to_thread(
            cel_tail.read, cel_file, await store.read_position(connection, cel_file)
        )
        if chunk is None:
            return False
        lines = [line for each in chunk.lines if (line := parse(each)) is not None]
        garbage = sum(map(bool, chunk.lines)) - len(lines)
        if garbage:
            log.error("CEL lines skipped: %d are no events", garbage)
        calls = await store.find_calls(connection, {line.call_id for line in lines})
        changed = {call.call_id: call for line in lines if (call := take(calls, line)) is not None}
        over = [call for call in changed.values() if call.ended_at is not None]
        done = await _filter_accounted_for(connection, over)
        await store.save(
            connection, [call for call in changed.values() if call.call_id not in done]
        )
        await store.drop(connection, done)
        await store.save_position(connection, cel_file, chunk.after)
    return True


async def _filter_accounted_for(
    connection: AsyncConnection, over: Sequence[FallbackCall]
) -> set[str]:
    """Ids of the calls that a controller served and saved itself: nearly all."""
    with_appeal = await store.filter_with_appeal(connection, [call.call_id for call in over])
    return {call.call_id for call in over if call.call_id in with_appeal and not call.in_fallback}


async def _mark_lost_over(tools: WorkerResources) -> None:
    """Mark calls as ended that have no end in CEL, and no channel in Asterisk."""
    async with unit_of_work(tools.engine) as connection:
        open_calls = await store.list_open(connection)
    if not open_calls:
        return
    try:  # only now: a call that has come since must not be taken for a lost one
        there = await _list_channels(tools.settings)
    except OperationFailed as exc:
        log.warning("query of Asterisk's channels failed, %d calls open: %s", len(open_calls), exc)
        return
    async with _exclusive(tools) as connection:
        await store.mark_over(connection, open_calls - there)


async def _list_channels(settings: Settings) -> set[str]:
    """The ids of Asterisk's channels now."""
    answer = await ask_once(settings, "CoreShowChannels", SWITCH_LIMIT)
    return {item["Uniqueid"] for item in answer.items}


async def _settle_all_over(tools: WorkerResources, grace: timedelta) -> None:
    after = ""
    while True:
        async with _exclusive(tools) as connection:
            calls = await store.list_over(connection, grace, after=after, limit=BATCH)
            if not calls:
                return
            done = await _filter_accounted_for(connection, calls)
            await store.drop(connection, done)
        after = calls[-1].call_id
        for call in calls:
            if call.call_id not in done:
                await settle_call(tools, call.call_id)


async def settle_call(tools: WorkerResources, call_id: str) -> None:
    try:
        async with _exclusive(tools) as connection:
            calls = await store.find_calls(connection, [call_id])
            if call_id in calls:  # else another worker was here first
                await backfill.settle(connection, tools.settings.spool, calls[call_id])
                await store.drop(connection, [call_id])
                await enqueue_after(connection, CHECK, CHECK_AFTER)
    except NumbersExhausted as exc:
        log.critical("backfill postponed, call %s: %s", call_id, exc)
    except (IntegrityError, DataError):
        # One call that cannot be saved must not block the others.
        log.exception("backfill failed, call %s", call_id)


async def _bind_orphans(tools: WorkerResources) -> None:
    async with _exclusive(tools) as connection:
        found = await orphaned_files.find(connection, tools.settings.spool, datetime.now(UTC))
        unbound = [each.name for each in found if not await orphaned_files.bind(connection, each)]
    if unbound:
        log.critical(
            "recorded files without a call: %d: %s",
            len(unbound),
            ", ".join(unbound[:SHOWN]),
        )
