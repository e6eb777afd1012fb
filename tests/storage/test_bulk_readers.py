"""Somebody who opens many appeals without a call is seen; who works with them is not."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.jobs import alert_of_bulk_readers
from callcenter.appeals.tables import record
from callcenter.consultants.tables import consultant
from callcenter.platform.audit import store as audit
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.tables import web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.tables import recording
from tests.appeals import opened

READER = "user:aigul"
THRESHOLD = 6
CALLER = "+77012345667"

Work = Callable[[AsyncConnection, UUID, Sequence[UUID]], Awaitable[None]]


@pytest.fixture
def tools(settings: Settings, engine: AsyncEngine) -> WorkerResources:
    limited = settings.model_copy(update={"viewed_appeals_alert": THRESHOLD})
    return WorkerResources(limited, engine)


async def numbers_of(connection: AsyncConnection, appeals: Sequence[UUID]) -> list[str]:
    query = select(appeal.c.number).where(appeal.c.id.in_(appeals))
    return list(await connection.scalars(query))


async def view(
    connection: AsyncConnection,
    appeals: Sequence[UUID],
    action: AppealAction = AppealAction.APPEAL_VIEWED,
) -> None:
    for number in await numbers_of(connection, appeals):
        await audit.record(connection, who=READER, action=action, subject=f"appeal:{number}")


async def open_many(engine: AsyncEngine, count: int, work: Work | None = None) -> None:
    """Have the reader view so many appeals of one caller, after this work with them."""
    now, person = datetime.now(UTC), uuid4()
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=person, extension="201", name="Айгүл", languages=["kk"], digest="-"
            )
        )
        await connection.execute(
            insert(web_user).values(
                id=uuid4(), name="aigul", password_hash="-", role="consultant", consultant_id=person
            )
        )
        appeals = [await opened(connection, now, number=CALLER) for _ in range(count)]
        if work is not None:
            await work(connection, person, appeals)
        await view(connection, appeals)


async def count_alerts(
    tools: WorkerResources, redis: Redis, *, later: timedelta = timedelta()
) -> int:
    """How many alerts there were so far, after two runs of the job; the log has as many entries."""
    for _ in range(2):
        await alert_of_bulk_readers(tools, redis, datetime.now(UTC) + later)
    counts = await redis.hgetall("desk:alarm_counts")
    async with unit_of_work(tools.engine) as connection:
        entries = await connection.execute(
            select(audit_entry.c.who, audit_entry.c.subject, audit_entry.c.detail).where(
                audit_entry.c.action == "web:appeals:many_viewed"
            )
        )
    [count] = [int(each) for each in counts.values()] or [0]
    assert entries.all() == count * [("system:worker", READER, {"threshold": THRESHOLD})]
    return count


async def test_many_appeals_opened_without_a_call_alert_once(
    tools: WorkerResources, redis: Redis
) -> None:
    await open_many(tools.engine, THRESHOLD)
    assert await count_alerts(tools, redis) == 1
    assert len(await redis.hgetall("desk:alarms:open")) == 1  # until somebody acknowledges it


async def test_many_recordings_heard_without_a_call_alert_once(
    tools: WorkerResources, redis: Redis
) -> None:
    now = datetime.now(UTC)
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(
            insert(web_user).values(id=uuid4(), name="aigul", password_hash="-", role="senior")
        )
        for ordinal in range(THRESHOLD):
            appeal_id = await opened(connection, now, number=CALLER)
            recording_id = uuid4()
            await connection.execute(
                insert(recording).values(
                    id=recording_id,
                    appeal_id=appeal_id,
                    spool_name=f"{ordinal}.wav",
                    started_at=now,
                    state="recording",
                )
            )
            await audit.record(
                connection,
                who=READER,
                action=RecordingAction.RECORDING_LISTENED,
                subject=f"recording:{recording_id}",
            )
    assert await count_alerts(tools, redis) == 1


async def test_fewer_appeals_opened_often_alert_nobody(
    tools: WorkerResources, redis: Redis
) -> None:
    async def read_often(
        connection: AsyncConnection, person: UUID, appeals: Sequence[UUID]
    ) -> None:
        for _ in range(3):
            await view(connection, appeals)

    await open_many(tools.engine, THRESHOLD - 1, read_often)
    assert await count_alerts(tools, redis) == 0


async def test_appeals_opened_earlier_alert_nobody(tools: WorkerResources, redis: Redis) -> None:
    await open_many(tools.engine, THRESHOLD)
    assert await count_alerts(tools, redis, later=timedelta(hours=1, minutes=1)) == 0


async def talk(connection: AsyncConnection, person: UUID, appeals: Sequence[UUID]) -> None:
    """With the caller, about one of them."""
    await connection.execute(
        update(appeal).where(appeal.c.id == appeals[0]).values(consultant_id=person)
    )


async def call(connection: AsyncConnection, person: UUID, appeals: Sequence[UUID]) -> None:
    for ordinal, each in enumerate(appeals):
        await outbound_calls.begin(
            connection,
            appeal_id=each,
            call_id=f"called-{ordinal}",
            number="+77017654321",
            consultant_id=person,
            began_at=datetime.now(UTC),
        )


async def own(connection: AsyncConnection, _: UUID, appeals: Sequence[UUID]) -> None:
    for each in appeals:
        await connection.execute(
            insert(record).values(
                appeal_id=each,
                version=1,
                stage="in_work",
                owner="aigul",
                content={},
                changed_at=datetime.now(UTC),
            )
        )


async def save(connection: AsyncConnection, _: UUID, appeals: Sequence[UUID]) -> None:
    await view(connection, appeals, AppealAction.RECORD_SAVED)


@pytest.mark.parametrize("work", [talk, call, own, save])
async def test_appeals_of_ones_work_alert_nobody(
    tools: WorkerResources, redis: Redis, work: Work
) -> None:
    await open_many(tools.engine, THRESHOLD, work)
    assert await count_alerts(tools, redis) == 0


async def test_similar_appeals_while_typing_are_no_work(
    tools: WorkerResources, redis: Redis
) -> None:
    """Typing into a record and leaving it shows similar ones, with an entry of that appeal."""

    async def begin_to_type(connection: AsyncConnection, _: UUID, appeals: Sequence[UUID]) -> None:
        await view(connection, appeals, AppealAction.APPEALS_SEARCHED)

    await open_many(tools.engine, THRESHOLD, begin_to_type)
    assert await count_alerts(tools, redis) == 1


async def test_searching_opens_no_appeal(tools: WorkerResources, redis: Redis) -> None:
    async with unit_of_work(tools.engine) as connection:
        for _ in range(THRESHOLD):
            await audit.record(
                connection, who=READER, action=AppealAction.APPEALS_SEARCHED, subject="appeals"
            )
    assert await count_alerts(tools, redis) == 0
