"""A demand is registered, moved and alerted of, on a real PostgreSQL and Redis."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.demands import service, store
from callcenter.demands.jobs import alert_of_deadlines
from callcenter.demands.rules.deadlines import DeadlineTerm, DemandTimeUnit
from callcenter.demands.rules.states import (
    DemandState,
    DemandStep,
    IllegalDemandStep,
    NotAuthorised,
    RefusalGround,
)
from callcenter.demands.store import StaleDemand
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.demands.conftest import HEAD, OFFICER, PDF, demand_form


async def found(engine: AsyncEngine, number: str) -> store.DemandRow:
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, number)
    assert row is not None
    return row


async def audited(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    """Who did what for which reason."""
    query = select(audit_entry.c.who, audit_entry.c.action, audit_entry.c.detail["reason"].astext)
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(query.order_by(audit_entry.c.id))
        return [tuple(row) for row in rows]


async def test_a_demand_is_registered_with_its_letter_and_refused(engine: AsyncEngine) -> None:
    row = await service.register(engine, OFFICER, demand_form())
    year = datetime.now(UTC).year % 100
    assert row.number == f"{year}-0001"
    assert row == await found(engine, row.number)
    assert (row.state, row.version, row.from_authority) == (DemandState.FOUND, 2, True)
    assert "искусственного интеллекта" in row.sender_ru
    assert (await service.register(engine, OFFICER, demand_form())).number == f"{year}-0002"
    async with unit_of_work(engine) as connection:
        assert await store.scan_of(connection, row.id) == store.Scan("application/pdf", PDF)
    await service.refuse(
        engine, HEAD, row.number, 2, RefusalGround.NO_CONVERSATION, " no such\n call "
    )
    refused = await found(engine, row.number)
    assert (refused.state, refused.refusal) == (DemandState.REFUSED, RefusalGround.NO_CONVERSATION)
    async with unit_of_work(engine) as connection:
        steps = await store.steps(connection, row.id)
    assert [(each.step, each.state, each.author, each.reason) for each in steps] == [
        ("registered", "registered", "user:officer", steps[0].reason),
        ("searched", "found", "system:demands", "0 fit"),
        ("refused", "refused", "user:head", "no such call"),
    ]
    assert (await audited(engine))[-1] == ("user:head", "web:demand:refused", "no such call")


@pytest.mark.parametrize(
    "changed",
    [
        {"letter_number": " "},
        {"ground": ""},
        {"signatory": "x" * 1001},
        {"signatory": "a\x00b"},
        {"letter_date": date(2024, 1, 1)},
        {"letter_date": date.today() + timedelta(days=2)},
        {"received_at": datetime.now(UTC) + timedelta(days=1)},
        {"received_at": datetime.now(UTC) - timedelta(days=400)},
        {"term": DeadlineTerm(DemandTimeUnit.WORKING_DAYS, 0)},
        {"scan": b""},
        {"scan": b"<script>"},
        {"scan": PDF + bytes(10 * 1024 * 1024)},
    ],
)
async def test_what_cannot_be_a_demand_is_not_registered(
    engine: AsyncEngine, changed: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest):
        await service.register(engine, OFFICER, demand_form(**changed))
    async with unit_of_work(engine) as connection:
        assert await store.list_running(connection) == []
    assert await audited(engine) == []


async def test_of_two_who_move_a_demand_at_once_one_does(engine: AsyncEngine) -> None:
    row = await service.register(engine, OFFICER, demand_form())
    outcomes = await asyncio.gather(
        service.withdraw(engine, OFFICER, row.number, 2, "a letter"),
        service.refuse(engine, HEAD, row.number, 2, RefusalGround.NO_CONVERSATION, "none"),
        return_exceptions=True,
    )
    assert {type(each) for each in outcomes} == {type(None), StaleDemand}
    async with unit_of_work(engine) as connection:
        assert len(await store.steps(connection, row.id)) == 3
    assert len(await audited(engine)) == 3


async def test_an_illegal_move_leaves_no_trace(engine: AsyncEngine) -> None:
    row = await service.register(engine, OFFICER, demand_form(sender="Прокуратура"))
    assert (row.sender_ru, row.from_authority) == ("Прокуратура", False)
    with pytest.raises(IllegalDemandStep, match="registered cannot be returned"):
        await service.return_to_check(engine, HEAD, row.number, 1, "look again")
    with pytest.raises(InvalidRequest, match="a text is missing"):
        await service.withdraw(engine, OFFICER, row.number, 1, " ")
    with pytest.raises(NotFound):
        await service.withdraw(engine, OFFICER, "26-9999", 1, "a letter")
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE demand SET state = 'found'"))
    async with unit_of_work(engine) as connection:
        changed = await service.lock_demand(connection, row.number)
        with pytest.raises(NotAuthorised):
            await service.transition(connection, OFFICER, DemandStep.CHECKED, changed, "all of it")
    async with unit_of_work(engine) as connection:
        assert len(await store.steps(connection, row.id)) == 1
    assert len(await audited(engine)) == 1


async def alerted_of(tools: WorkerResources, redis: Redis, now: datetime) -> list[str]:
    await redis.delete("desk:alarms")
    await alert_of_deadlines(tools, redis, now)
    return [json.loads(each)["kind"] for each in await redis.lrange("desk:alarms", 0, -1)]


async def test_an_alert_precedes_the_deadline_once_and_follows_daily(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    row = await service.register(engine, OFFICER, demand_form())
    day = timedelta(days=1)
    alerted = partial(alerted_of, WorkerResources(settings, engine), redis)
    assert await alerted(row.warn_at - timedelta(seconds=1)) == []
    assert await alerted(row.warn_at) == ["demand_due_soon"]
    assert await alerted(row.warn_at) == []
    assert await alerted(row.due_at) == ["demand_overdue"]
    assert await alerted(row.due_at + day / 2) == []
    assert await alerted(row.due_at + day) == ["demand_overdue"]
    await service.withdraw(engine, OFFICER, row.number, 2, "a letter")
    assert await alerted(row.due_at + 9 * day) == []


async def test_a_clock_that_was_put_back_silences_no_alert(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    """Though of all of them was told at a time that is still to come."""
    row = await service.register(engine, OFFICER, demand_form())
    alerted = partial(alerted_of, WorkerResources(settings, engine), redis)
    assert await alerted(row.due_at - timedelta(seconds=1)) == ["demand_due_soon"]
    assert await alerted(row.due_at + timedelta(days=365)) == ["demand_overdue"]
    assert await alerted(row.warn_at) == ["demand_due_soon"]
    assert await alerted(row.warn_at) == []
    assert await alerted(row.due_at) == ["demand_overdue"]
    assert await alerted(row.due_at + timedelta(hours=12)) == []


async def test_a_demand_counts_as_alerted_only_when_raised(
    settings: Settings, engine: AsyncEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await service.register(engine, OFFICER, demand_form())

    async def fail(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr("callcenter.demands.jobs.raise_alert", fail)
        with pytest.raises(ConnectionError):
            await alert_of_deadlines(WorkerResources(settings, engine), redis, row.due_at)
    await alert_of_deadlines(WorkerResources(settings, engine), redis, row.due_at)
    assert await redis.hget("desk:alarm_counts", "demand_overdue") == "1"
