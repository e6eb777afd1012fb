"""Worker's part of attachments: virus scan, recovery of uploads, removal of erased files."""

import asyncio
import hashlib
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.alerts import ATTACHMENT_QUARANTINED, ATTACHMENT_WAITS
from callcenter.appeals.followup import attachments, attachments_store
from callcenter.appeals.followup.attachments_store import ScanState
from callcenter.appeals.tables import record_attachment
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.monitoring.alerts import raise_alert_once
from callcenter.platform.storage import antivirus
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.objects import ObjectMissing, Objects
from callcenter.recordings.sealing.age import Altered

log = logging.getLogger(__name__)

BATCH = 50
UPLOAD_TIMEOUT = timedelta(minutes=10)  # then the process that stored the file was killed
SCAN_ALERT_AFTER = timedelta(minutes=15)  # of waiting for clamd


async def scan_attachments(resources: WorkerResources, redis: Redis, now: datetime) -> None:
    """Recover interrupted uploads, then have clamd scan what waits.

    May be killed anywhere and repeated. Raises DependencyUnavailable, ObjectStoreUnavailable,
    NoKey: again in a minute.
    """
    await _finish_uploads(resources, now)
    await remove_erased(resources)
    try:
        await _scan(resources, redis)
    except DependencyUnavailable as exc:
        log.warning("scan of attachments failed, they wait: %s", exc)
        async with unit_of_work(resources.engine) as connection:
            late = await _ids(connection, ScanState.WAITING, before=now - SCAN_ALERT_AFTER)
        for identity in late:
            await raise_alert_once(redis, ATTACHMENT_WAITS, "", f"attachment:{identity}")


async def _finish_uploads(resources: WorkerResources, now: datetime) -> None:
    """Finish uploads whose process was killed: complete ones go on, others have failed."""
    async with unit_of_work(resources.engine) as connection:
        stale = await _ids(connection, ScanState.ARRIVING, before=now - UPLOAD_TIMEOUT)
    for identity in stale:
        whole = await _digest(resources, identity)
        async with unit_of_work(resources.engine) as connection:
            query = select(record_attachment.c.sha256).where(record_attachment.c.id == identity)
            if (await connection.execute(query)).scalar_one() == whole:
                await attachments.finish_upload(connection, resources.settings, identity)
            else:
                await attachments_store.change_state(
                    connection, identity, ScanState.ARRIVING, ScanState.FAILED
                )
                log.warning("upload failed, attachment %s is incomplete", identity)


async def _scan(resources: WorkerResources, redis: Redis) -> None:
    """Scan each file that waits; one that clamd fails on does not hold up others.

    Raises DependencyUnavailable.
    """
    async with unit_of_work(resources.engine) as connection:
        waiting = await _ids(connection, ScanState.WAITING, before=datetime.now(UTC))
    failure: DependencyUnavailable | None = None
    for identity in waiting:
        try:
            verdict = await _verdict(resources, identity)
        except DependencyUnavailable as exc:
            failure = exc
            continue
        after = ScanState.AVAILABLE if verdict.clean else ScanState.QUARANTINED
        values = {"checked_at": datetime.now(UTC), "why": verdict.why or None}
        async with unit_of_work(resources.engine) as connection:
            await attachments_store.change_state(
                connection, identity, ScanState.WAITING, after, **values
            )
        if after is ScanState.QUARANTINED:
            log.critical("attachment %s quarantined: %s", identity, verdict.why)
            await raise_alert_once(redis, ATTACHMENT_QUARANTINED, "", f"aside:{identity}")
    if failure is not None:
        raise failure


async def _verdict(resources: WorkerResources, identity: UUID) -> antivirus.Verdict:
    if resources.settings.clamd is None:  # it was there when the file came
        raise DependencyUnavailable("there is no clamd any more: set CALLCENTER_CLAMD")
    try:
        content = await asyncio.to_thread(attachments.open_content, resources.settings, identity)
    except (ObjectMissing, Altered) as exc:
        return antivirus.Verdict(clean=False, why=str(exc))
    return await antivirus.scan(resources.settings.clamd, content)


async def remove_erased(resources: WorkerResources) -> None:
    """Remove the files of erased attachments; the rows stay.

    Raises ObjectStoreUnavailable.
    """
    erased = record_attachment.c.state == ScanState.ERASED.value
    removable = (erased, record_attachment.c.removed_at.is_(None))
    async with unit_of_work(resources.engine) as connection:
        query = select(record_attachment.c.id).where(*removable).limit(BATCH)
        identities = list((await connection.execute(query)).scalars())
    store = Objects(resources.settings.store)
    for identity in identities:
        await asyncio.to_thread(store.remove, attachments.object_name(identity))
        async with unit_of_work(resources.engine) as connection:
            await attachments_store.change_state(
                connection,
                identity,
                ScanState.ERASED,
                ScanState.ERASED,
                removed_at=datetime.now(UTC),
            )


async def _digest(resources: WorkerResources, identity: UUID) -> str | None:
    try:
        content = await asyncio.to_thread(attachments.open_content, resources.settings, identity)
    except (ObjectMissing, Altered):
        return None
    return hashlib.sha256(content).hexdigest()


async def _ids(connection: AsyncConnection, state: ScanState, *, before: datetime) -> list[UUID]:
    query = (
        select(record_attachment.c.id)
        .where(record_attachment.c.state == state.value, record_attachment.c.at < before)
        .order_by(record_attachment.c.at)
        .limit(BATCH)
    )
    return list((await connection.execute(query)).scalars())
