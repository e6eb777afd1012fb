"""Accounting for every call that the switch had (R25), also those that only the dialplan served.

The switch's ledger is read on from where reading stopped; the position, and what the lines said of
calls that are not accounted for, are kept in the same transaction. So a job may be killed
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

from callcenter.asterisk.ami import Ami
from callcenter.asterisk.ledger import parse
from callcenter.consultants.alarms import Alarm, alarm_of_new
from callcenter.errors import WeFailed
from callcenter.ledger import comparing, differences, files, orphans, settling, store
from callcenter.ledger.calls import LedgerCall, take
from callcenter.ledger.differences import Difference
from callcenter.ledger.files import ledger_of
from callcenter.ledger.mending import mend
from callcenter.line.backlog import waiting
from callcenter.secrets import read_secret
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, enqueue_after, jobs, tools_of
from callcenter.storage.redis import open_redis

log = logging.getLogger(__name__)

# Begins when we learn that a call is over, the database being there: a controller that could not
# write has had time to, and Asterisk to write its last lines and to close the recording.
GRACE = timedelta(seconds=30)
SHOWN = 5  # names of files in one message
BATCH = 100  # calls looked at in one transaction
CHECK = "ledger.check_calls"
# After which a call that is over is accounted for, its recording closed and files given to calls.
SETTLED = orphans.QUIET + timedelta(minutes=5)
CHECKED = timedelta(days=2)  # every night: so what one night could not do, the next does
SWITCH_LIMIT = 5.0  # seconds for the switch to say which channels it has
TOLD_ONCE = 5 * 86_400  # seconds, longer than a difference is looked at


class AnotherIsAtIt(WeFailed):
    """Another worker is at the ledger."""


async def account_for_calls(tools: Tools, grace: timedelta = GRACE) -> None:
    """Read on in the ledger, and see to it that every call that is over has its appeal.

    A call is over when the ledger has its end, or when the switch does not know it any more. Files
    of recordings that nobody knows are given to their call, or told of.
    Does nothing while another worker does it. Raises NotReady when the database is away, OSError
    when the ledger cannot be read.
    """
    try:
        # To its end first: what is missing in a ledger half read is not missing.
        while await _read_on(tools):
            pass
        await _notice_lost(tools)
        if await asyncio.to_thread(waiting, tools.settings.journals):
            # What it says would find its call with another appeal, and be refused.
            log.warning("calls are accounted for once no journal waits for the database")
            return
        await _settle_all(tools, grace)
        await _look_for_orphans(tools)
    except AnotherIsAtIt as exc:
        log.info("%s", exc)


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
    """`check_calls` of two days, every night and after every recovery; mends, and alarms."""
    until, tools = datetime.now(UTC) - SETTLED, tools_of(context)
    try:
        found, mended = await check_calls(tools, since=until - CHECKED, until=until, mending=True)
    except (WeFailed, OSError) as exc:
        await _alarm(tools.settings, [f"{until:%Y-%m-%d}: {type(exc).__name__}"])
        raise
    for each in mended:
        log.warning("mended: %s %s: %s", each.kind, each.subject, each.why)
    left = [each for each in found if each not in mended]
    for each in left[:SHOWN]:
        log.critical("%s %s: %s", each.kind, each.subject, each.why)
    if left:
        log.critical("%d differences need you: see `callcenter check calls`", len(left))
    await _alarm(tools.settings, [f"{each.kind} {each.subject}" for each in left])


async def _alarm(settings: Settings, subjects: Sequence[str]) -> None:
    """Alarm supervisors of what they were not told of yet; that nobody hears it is logged."""
    try:
        async with open_redis(settings) as redis:
            await alarm_of_new(redis, Alarm.LEDGER_DIFFERS, subjects, TOLD_ONCE)
    except (RedisError, OSError) as exc:
        log.error("the alarm reaches nobody: %s", type(exc).__name__)


async def check_calls(
    tools: Tools, *, since: datetime, until: datetime, mending: bool
) -> tuple[list[Difference], list[Difference]]:
    """Compare calls that began from `since` to `until` with what the switch says of them.

    Returns the differences, and those of them that were mended. Raises NotReady when the database
    is away, WeFailed and OSError when files cannot be read.
    """
    ledger = ledger_of(tools.settings)
    try:  # before the ledger is read: what ends meanwhile has its end there
        live: set[str] | None = await _channels(tools.settings)
    except WeFailed as exc:
        log.warning("cannot ask the switch which calls go on: %s", exc)
        live = None
    told = await comparing.tell(
        tools.settings, tools.engine, ledger, since=since, until=until, live=live
    )
    found = differences.find(told)
    return found, await mend(tools, ledger, found) if mending else []


@asynccontextmanager
async def _turn(tools: Tools) -> AsyncIterator[AsyncConnection]:
    """A transaction in which nobody else is at the ledger. Raises AnotherIsAtIt."""
    async with unit_of_work(tools.engine) as connection:
        if not await store.my_turn(connection):
            raise AnotherIsAtIt
        yield connection


async def _read_on(tools: Tools) -> bool:
    """Take in the next piece of the ledger; False when there is none."""
    ledger = ledger_of(tools.settings)
    async with _turn(tools) as connection:
        piece = await asyncio.to_thread(
            files.read, ledger, await store.position(connection, ledger)
        )
        if piece is None:
            return False
        lines = [line for each in piece.lines if (line := parse(each)) is not None]
        garbage = sum(map(bool, piece.lines)) - len(lines)
        if garbage:
            log.error("%d lines of the ledger are no events; passed over", garbage)
        calls = await store.calls(connection, {line.call_id for line in lines})
        changed = {call.call_id: call for line in lines if (call := take(calls, line)) is not None}
        over = [call for call in changed.values() if call.ended_at is not None]
        done = await _accounted_for(connection, over)
        await store.save(
            connection, [call for call in changed.values() if call.call_id not in done]
        )
        await store.drop(connection, done)
        await store.move(connection, ledger, piece.after)
    return True


async def _accounted_for(connection: AsyncConnection, over: Sequence[LedgerCall]) -> set[str]:
    """Nearly all that are over: a controller served them, and wrote everything down itself."""
    known = await store.with_appeal(connection, [call.call_id for call in over])
    return {call.call_id for call in over if call.call_id in known and not call.in_fallback}


async def _notice_lost(tools: Tools) -> None:
    """Note which calls the switch does not know any more, though the ledger has no end of them."""
    async with unit_of_work(tools.engine) as connection:
        open_calls = await store.in_progress(connection)
    if not open_calls:
        return
    try:  # only now: a call that has come since must not be taken for a lost one
        there = await _channels(tools.settings)
    except WeFailed as exc:
        log.warning("cannot ask the switch for %d calls: %s", len(open_calls), exc)
        return
    async with _turn(tools) as connection:
        await store.mark_over(connection, open_calls - there)


async def _channels(settings: Settings) -> set[str]:
    """The ids of the channels that the switch has now."""
    secret = read_secret(settings.secrets_folder, "ami")
    async with Ami(port=settings.ami_port, user="callcenter", secret=secret) as ami:
        await ami.ready(SWITCH_LIMIT)
        answer = await ami.action({"Action": "CoreShowChannels"})
    return {item["Uniqueid"] for item in answer.items}


async def _settle_all(tools: Tools, grace: timedelta) -> None:
    after = ""
    while True:
        async with _turn(tools) as connection:
            calls = await store.over_since(connection, grace, after=after, limit=BATCH)
            if not calls:
                return
            done = await _accounted_for(connection, calls)
            await store.drop(connection, done)
        after = calls[-1].call_id
        for call in calls:
            if call.call_id not in done:
                await _settle(tools, call.call_id)


async def _settle(tools: Tools, call_id: str) -> None:
    try:
        async with _turn(tools) as connection:
            calls = await store.calls(connection, [call_id])
            if call_id in calls:  # else another worker was here first
                await settling.settle(connection, tools.settings.spool, calls[call_id])
                await store.drop(connection, [call_id])
                await enqueue_after(connection, CHECK, SETTLED)
    except (IntegrityError, DataError):
        # One call that cannot be written down must not keep the others from it.
        log.exception("call %s cannot be accounted for from the ledger", call_id)


async def _look_for_orphans(tools: Tools) -> None:
    async with _turn(tools) as connection:
        found = await orphans.find(connection, tools.settings.spool, datetime.now(UTC))
        homeless = [each.name for each in found if not await orphans.bind(connection, each)]
    if homeless:
        log.critical(
            "%d recorded files belong to no call that is known: %s",
            len(homeless),
            ", ".join(homeless[:SHOWN]),
        )
