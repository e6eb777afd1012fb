"""Open alerts outlive Redis: what nobody acknowledged is raised again, and nothing else."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.journal.call_record import CallRecord
from callcenter.telephony.calls.journal.events import CallOpened, Entry, EventRecorded
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.controller.journal_writer import JournalWriter
from callcenter.wallboard.alert_actions import acknowledge_alert
from callcenter.wallboard.alert_groups import group_alerts
from callcenter.wallboard.escalation import is_due
from callcenter.wallboard.jobs import RESTORED_WITHIN, alert_job, restore_alerts
from callcenter.wallboard.store import list_unacknowledged, read_open_alerts
from callcenter.workspace.service import request_help

MINUTE = timedelta(minutes=1)
HEAD = Actor(User(uuid4(), "head", "-", Role.HEAD, True, datetime(2026, 1, 1, tzinfo=UTC)))
OTHER_ROWS = 5000
#: Rows of events and of the audit log, and entries of their indexes, that we have read.
ROWS_READ = """
    SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class
    WHERE relname ~ '^(ix_|pk_|uq_)?(appeal_event|audit_entry)'
"""


class ListedJournal:
    """The journal of one call, written when a test says so."""

    def __init__(self, call_id: str) -> None:
        self.appeal_id = uuid4()
        self.entries: list[Entry] = [
            CallOpened(self.appeal_id, call_id, parse_caller_id("anonymous"), datetime.now(UTC))
        ]

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)

    async def append_durably(self, entry: Entry) -> None:
        self.append(entry)

    def save_call_state(self, leg: str, state: object) -> None:
        """No controller takes over here."""

    def alerts(self) -> Sequence[EventRecorded]:
        events = [each for each in self.entries if isinstance(each, EventRecorded)]
        return [each for each in events if each.moment is CallEvent.ALERTED]

    async def write(self, engine: AsyncEngine) -> None:
        writer = JournalWriter(engine)
        await writer.write(self.entries)
        await writer.close()


def begin(redis: Redis, call_id: str) -> tuple[Call, ListedJournal]:
    """A call of which nothing but its alerts matters."""
    journal = ListedJournal(call_id)
    record = CallRecord(journal, journal.appeal_id, call_id)
    nothing, leg = cast(Any, None), cast(Any, SimpleNamespace(id=call_id))
    queue = RedisQueueMonitor(redis)
    return Call(leg, record, nothing, nothing, nothing, queue, nothing), journal


@pytest.fixture
def worker(settings: Settings, worker_engine: AsyncEngine) -> WorkerResources:
    """A worker, with its rights."""
    return WorkerResources(settings, worker_engine)


async def acknowledge(engine: AsyncEngine, redis: Redis, *groups: str) -> None:
    for group in groups:
        await acknowledge_alert(engine, redis, HEAD, group, seen=time.time() + 1)


async def read_open(redis: Redis) -> dict[str, dict[str, Any]]:
    return {str(key): json.loads(alert) for key, alert in (await redis.hgetall(OPEN)).items()}


async def test_an_emptied_redis_gets_back_what_nobody_acknowledged(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis, ours: Redis
) -> None:
    unrecorded, unrecorded_journal = begin(redis, "1.1")
    seen, seen_journal = begin(redis, "2.2")
    urgent, urgent_journal = begin(redis, "3.3")
    for call in (unrecorded, seen):
        await call.alert_not_recorded()
    await request_help(engine, redis, HEAD, "204")
    await acknowledge(engine, redis, "not_recorded:kk", "help_requested:")
    await unrecorded.alert_not_recorded()  # once more, after that
    await urgent.alert_urgent_waiting()
    await urgent.alert_urgent_waiting()  # too soon to be another
    assert len(urgent_journal.alerts()) == 1
    await request_help(engine, redis, HEAD, "201")
    for journal in (unrecorded_journal, seen_journal, urgent_journal):
        await journal.write(engine)
    opened, counts = await read_open(redis), await redis.hgetall("desk:alarm_counts")
    assert set(opened) == {"not_recorded:1.1", "urgent_waits:3.3", "help_requested:201"}

    await restore_alerts(worker, ours, datetime.now(UTC))  # nothing is lost
    assert await read_open(redis) == opened
    assert await redis.hgetall("desk:alarm_counts") == counts

    emptied_at = time.time()
    await redis.flushdb()
    await restore_alerts(worker, ours, datetime.now(UTC))
    restored = await read_open(redis)
    assert {key: (alert["kind"], alert["language"]) for key, alert in restored.items()} == {
        key: (alert["kind"], alert["language"]) for key, alert in opened.items()
    }
    assert all(alert["at"] < emptied_at for alert in restored.values())
    [_, again] = unrecorded_journal.alerts()
    assert restored["not_recorded:1.1"]["at"] == round(again.at.timestamp(), 3)

    await acknowledge(engine, redis, "not_recorded:kk", "urgent_waits:kk", "help_requested:")
    await restore_alerts(worker, ours, datetime.now(UTC))
    assert await read_open(redis) == {}


async def test_the_job_gives_an_old_redis_what_it_missed(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis
) -> None:
    await request_help(engine, redis, HEAD, "201")
    snapshot: Any = await redis.hgetall(OPEN)
    call, journal = begin(redis, "1.1")
    await call.alert_not_recorded()
    await journal.write(engine)
    await redis.flushdb()
    await redis.hset(OPEN, mapping=snapshot)
    context = SimpleNamespace(additional_context={"tools": worker})
    await alert_job(cast(Any, context), 0)
    opened = await redis.hgetall(OPEN)
    assert set(opened) == {"help_requested:201", "not_recorded:1.1"}
    assert snapshot.items() <= opened.items()


async def test_an_alert_that_redis_did_not_take_is_raised_later(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis, ours: Redis
) -> None:
    stopped = Redis(unix_socket_path="/nowhere/redis.sock")
    call, journal = begin(stopped, "1.1")
    await call.alert_not_recorded()
    await call.alert_urgent_waiting()
    await journal.write(engine)
    await restore_alerts(worker, ours, datetime.now(UTC))
    assert set(await read_open(redis)) == {"not_recorded:1.1", "urgent_waits:1.1"}
    await stopped.aclose()


async def test_a_restored_alert_is_acknowledged_by_who_saw_it_alone(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis, ours: Redis
) -> None:
    stopped = Redis(unix_socket_path="/nowhere/redis.sock")
    call, journal = begin(stopped, "1.1")
    await call.alert_not_recorded()
    await journal.write(engine)
    other, _ = begin(redis, "2.2")
    await other.alert_not_recorded()
    [seen] = await read_open_alerts(redis)
    await restore_alerts(worker, ours, datetime.now(UTC))
    await acknowledge_alert(engine, redis, HEAD, seen.id, seen=seen.at)
    assert set(await read_open(redis)) == {"not_recorded:1.1"}
    await acknowledge(engine, redis, seen.id)
    await restore_alerts(worker, ours, datetime.now(UTC))
    assert await read_open(redis) == {}
    await stopped.aclose()


async def test_a_restored_alert_is_escalated_once_though_others_were_already() -> None:
    late = {"kind": "not_recorded", "language": "kk", "at": 100.0, "added": 900.0}
    early = {"kind": "not_recorded", "language": "kk", "at": 90.0}
    opened = {"not_recorded:1.1": json.dumps(late), "not_recorded:2.2": json.dumps(early)}
    [group] = group_alerts((), opened, {}, 901.0)
    assert is_due(group, 800.0, 901.0)
    assert not is_due(group, 905.0, 906.0)


async def test_an_alert_of_another_versions_kind_is_acknowledged_for_good(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis, ours: Redis
) -> None:
    call, journal = begin(redis, "1.1")
    await call.alert_not_recorded()
    [alert] = journal.alerts()
    journal.entries[-1] = replace(alert, detail={"raises": "newer_kind:1.1", "language": "kk"})
    await journal.write(engine)
    await redis.flushdb()
    await restore_alerts(worker, ours, datetime.now(UTC))
    assert set(await read_open(redis)) == {"newer_kind:1.1"}
    await acknowledge(engine, redis, "newer_kind:kk")
    await restore_alerts(worker, ours, datetime.now(UTC))
    assert await read_open(redis) == {}


async def test_alerts_of_a_month_ago_are_not_raised_again(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis, ours: Redis
) -> None:
    call, journal = begin(redis, "1.1")
    await call.alert_not_recorded()
    await journal.write(engine)
    await redis.flushdb()
    [alert] = journal.alerts()
    await restore_alerts(worker, ours, alert.at + RESTORED_WITHIN + MINUTE)
    await restore_alerts(worker, ours, alert.at - MINUTE)  # nor of a clock that ran ahead
    assert await read_open(redis) == {}
    await restore_alerts(worker, ours, alert.at + RESTORED_WITHIN - MINUTE)
    assert set(await read_open(redis)) == {"not_recorded:1.1"}


async def test_an_acknowledgement_in_the_future_hides_no_alert(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis, ours: Redis
) -> None:
    call, journal = begin(redis, "1.1")
    await call.alert_not_recorded()
    [alert] = journal.alerts()
    now = datetime.now(UTC)
    journal.entries[-1] = replace(alert, at=now - 60 * MINUTE)
    await journal.write(engine)
    await acknowledge(engine, redis, "not_recorded:kk")
    await restore_alerts(worker, ours, now - MINUTE)  # as clocks differ
    assert await read_open(redis) == {}
    await restore_alerts(worker, ours, now - 30 * MINUTE)
    assert set(await read_open(redis)) == {"not_recorded:1.1"}


async def test_other_events_and_entries_are_not_read(engine: AsyncEngine, redis: Redis) -> None:
    call, journal = begin(redis, "1.1")
    await call.alert_not_recorded()
    await journal.write(engine)
    await acknowledge(engine, redis, "not_recorded:kk")
    now, rows = datetime.now(UTC), {"rows": OTHER_ROWS, "appeal": journal.appeal_id}
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)"
                " SELECT :appeal, 9001 + n, now(), 'key', '{}' FROM generate_series(1, :rows) AS n"
            ),
            rows,
        )
        await connection.execute(
            text(
                "INSERT INTO audit_entry (id, at, who, action, subject, detail, hash)"
                " SELECT 9001 + n, now(), 'user:a', 'web:b', 'c', '{}', sha256('')"
                " FROM generate_series(1, :rows) AS n"
            ),
            rows,
        )
        await connection.execute(text("ANALYZE appeal_event, audit_entry"))
    async with unit_of_work(engine) as connection:
        before = (await connection.execute(text(ROWS_READ))).scalar_one()
        assert await list_unacknowledged(connection, now - RESTORED_WITHIN, now) == []
        read = (await connection.execute(text(ROWS_READ))).scalar_one() - before
    assert read == 2
