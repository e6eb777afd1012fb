"""What the worker does with files attached to appeals: clamd looks at them, and none is lost."""

import asyncio
import hashlib
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.alarms import Alarm, raise_alarm_once
from callcenter.errors import NotReady
from callcenter.recordings.age import Altered
from callcenter.register import attachments
from callcenter.register.attachments import State
from callcenter.register.tables import record_attachment
from callcenter.storage import clamd
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import ObjectMissing, Objects

log = logging.getLogger(__name__)

BATCH = 50
ARRIVES = timedelta(minutes=10)  # in which a file is in the store, or whoever sent it was killed
WAITS = timedelta(minutes=15)  # for clamd, before somebody is alarmed


async def check(tools: Tools, redis: Redis, now: datetime) -> None:
    """Go on with what a crash left half, then have clamd look at what waits.

    May be killed anywhere and repeated. Raises NotReady, StoreFails, NoKey: again in a minute.
    """
    await _adopt(tools, now)
    await remove_erased(tools)
    try:
        await _scan(tools, redis)
    except NotReady as exc:
        log.warning("attachments wait: %s", exc)
        async with unit_of_work(tools.engine) as connection:
            late = await _ids(connection, State.WAITING, before=now - WAITS)
        for identity in late:
            await raise_alarm_once(redis, Alarm.ATTACHMENT_WAITS, "", f"attachment:{identity}")


async def _adopt(tools: Tools, now: datetime) -> None:
    """Whoever sent these was killed: what came whole is kept, the rest is to be sent again."""
    async with unit_of_work(tools.engine) as connection:
        stale = await _ids(connection, State.ARRIVING, before=now - ARRIVES)
    for identity in stale:
        whole = await _digest(tools, identity)
        async with unit_of_work(tools.engine) as connection:
            query = select(record_attachment.c.sha256).where(record_attachment.c.id == identity)
            if (await connection.execute(query)).scalar_one() == whole:
                await attachments.arrived(connection, tools.settings, identity)
            else:
                await attachments.change(connection, identity, State.ARRIVING, State.FAILED)
                log.warning("attachment %s did not come whole", identity)


async def _scan(tools: Tools, redis: Redis) -> None:
    """Each that waits; one that clamd cannot answer about holds up no other. Raises NotReady."""
    async with unit_of_work(tools.engine) as connection:
        waiting = await _ids(connection, State.WAITING, before=datetime.now(UTC))
    failure: NotReady | None = None
    for identity in waiting:
        try:
            verdict = await _verdict(tools, identity)
        except NotReady as exc:
            failure = exc
            continue
        after = State.KEPT if verdict.clean else State.ASIDE
        values = {"checked_at": datetime.now(UTC), "why": verdict.why or None}
        async with unit_of_work(tools.engine) as connection:
            await attachments.change(connection, identity, State.WAITING, after, **values)
        if after is State.ASIDE:
            log.critical("attachment %s is set aside: %s", identity, verdict.why)
            await raise_alarm_once(redis, Alarm.ATTACHMENT_ASIDE, "", f"aside:{identity}")
    if failure is not None:
        raise failure


async def _verdict(tools: Tools, identity: UUID) -> clamd.Verdict:
    if tools.settings.clamd is None:  # it was there when the file came
        raise NotReady("there is no clamd any more: set CALLCENTER_CLAMD")
    try:
        content = await asyncio.to_thread(attachments.opened, tools.settings, identity)
    except (ObjectMissing, Altered) as exc:
        return clamd.Verdict(clean=False, why=str(exc))
    return await clamd.scan(tools.settings.clamd, content)


async def remove_erased(tools: Tools) -> None:
    """Remove the files of attachments that were erased; the rows stay. Raises StoreFails."""
    erased = record_attachment.c.state == State.ERASED.value
    still = (erased, record_attachment.c.removed_at.is_(None))
    async with unit_of_work(tools.engine) as connection:
        query = select(record_attachment.c.id).where(*still).limit(BATCH)
        left = list((await connection.execute(query)).scalars())
    store = Objects(tools.settings.store)
    for identity in left:
        await asyncio.to_thread(store.remove, attachments.object_name(identity))
        async with unit_of_work(tools.engine) as connection:
            await attachments.change(
                connection, identity, State.ERASED, State.ERASED, removed_at=datetime.now(UTC)
            )


async def _digest(tools: Tools, identity: UUID) -> str | None:
    try:
        content = await asyncio.to_thread(attachments.opened, tools.settings, identity)
    except (ObjectMissing, Altered):
        return None
    return hashlib.sha256(content).hexdigest()


async def _ids(connection: AsyncConnection, state: State, *, before: datetime) -> list[UUID]:
    query = (
        select(record_attachment.c.id)
        .where(record_attachment.c.state == state.value, record_attachment.c.at < before)
        .order_by(record_attachment.c.at)
        .limit(BATCH)
    )
    return list((await connection.execute(query)).scalars())
