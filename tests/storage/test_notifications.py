"""What changes in PostgreSQL is told: nobody looks again and again."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, call
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from redis.asyncio import Redis
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import recent_drops
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.recent_drops import RecentDrops
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage import notified_cache, notify_listener
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener, Subscription
from callcenter.recordings import store as recordings
from callcenter.telephony.acd.distributor import RedisQueuePlace
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.callbacks import store as callbacks
from callcenter.telephony.callbacks.store import CallbackRequest, ClaimedCallback
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.controller import callback_scheduler
from callcenter.telephony.controller.callback_scheduler import ALERTS_AT_ONCE, CallbackScheduler
from callcenter.telephony.controller.dependencies import CallDependencies
from tests.appeals import opened
from tests.calls.tcp_proxies import POSTGRES, SlowRelay
from tests.polling import until
from tests.streams import port_of, stream_server

NUMBER = "+77010000001"
NOW = datetime.now(UTC).replace(microsecond=0)
LIMIT = 30.0  # seconds


@asynccontextmanager
async def running(*work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each()) for each in work]
    try:
        yield
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def appeal_id(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        return await opened(connection, NOW, number=NUMBER)


async def close(connection: AsyncConnection, appeal_id: UUID) -> None:
    await appeals.close_appeal(
        connection, appeal_id=appeal_id, outcome="lost_to_a_fault", ended_at=NOW
    )


async def promise(connection: AsyncConnection, appeal_id: UUID, at: datetime = NOW) -> UUID:
    promise_id = uuid4()
    request = CallbackRequest(
        promise_id=promise_id,
        appeal_id=appeal_id,
        number=NUMBER,
        language="kk",
        urgent=False,
        arrived_at=at,
        promised_at=at,
    )
    await callbacks.promise_callback(connection, request)
    return promise_id


async def leave_urgent_voicemail(connection: AsyncConnection, appeal_id: UUID) -> UUID:
    recording_id = uuid4()
    await callbacks.promise_message(
        connection,
        recording_id=recording_id,
        appeal_id=appeal_id,
        language="kk",
        urgent=True,
        arrived_at=NOW,
        promised_at=NOW,
    )
    return recording_id


async def record(connection: AsyncConnection, appeal_id: UUID) -> None:
    recording_id = uuid4()
    await recordings.begin(
        connection,
        recording_id=recording_id,
        appeal_id=appeal_id,
        consultant_id=None,
        spool_name="a.raw",
        started_at=NOW - timedelta(minutes=1),
    )
    await recordings.close(connection, recording_id=recording_id, ended_at=NOW)


async def write(connection: AsyncConnection, appeal_id: UUID) -> None:
    await connection.exec_driver_sql(
        "INSERT INTO record (appeal_id, version, stage, content, changed_at)"
        " VALUES (%s, 1, 'in_work', '{}', now())",
        (appeal_id,),
    )


@pytest.mark.parametrize(
    ("channel", "change"),
    [
        (recent_drops.CHANNEL, close),
        (recent_drops.CHANNEL, write),
        (callbacks.CHANNEL, promise),
        (recordings.CHANNEL, record),
    ],
)
async def test_a_change_ends_the_wait_for_it(
    settings: Settings,
    engine: AsyncEngine,
    appeal_id: UUID,
    channel: str,
    change: Callable[[AsyncConnection, UUID], Awaitable[object]],
) -> None:
    listener = NotifyListener(settings)
    changes = listener.subscribe(channel)
    async with running(listener.run), asyncio.timeout(LIMIT):
        await changes.wait(3600)  # it listens: what was before is to be looked for
        waiting = asyncio.create_task(changes.wait(3600))
        async with unit_of_work(engine) as connection:
            await change(connection, appeal_id)
        await waiting


async def is_urgent(connection: AsyncConnection, appeal_id: UUID) -> None:
    await appeals.add_urgencies(connection, appeal_id=appeal_id, urgent=["danger"])


async def is_cut_off(connection: AsyncConnection, appeal_id: UUID) -> None:
    await appeals.append_event(
        connection, appeal_id=appeal_id, at=NOW, kind=CallEvent.CALLER_LOST, detail={}
    )


async def is_ordinary(connection: AsyncConnection, appeal_id: UUID) -> None:
    pass


@pytest.mark.parametrize(
    ("before", "notifies"),
    [(is_urgent, True), (is_cut_off, True), (write, True), (is_ordinary, False)],
)
async def test_the_end_of_an_ordinary_call_notifies_nobody(
    settings: Settings,
    engine: AsyncEngine,
    appeal_id: UUID,
    before: Callable[[AsyncConnection, UUID], Awaitable[None]],
    notifies: bool,
) -> None:
    async with unit_of_work(engine) as connection:
        await before(connection, appeal_id)
    async with await psycopg.AsyncConnection.connect(
        settings.database, autocommit=True
    ) as listening:
        for channel in (recent_drops.CHANNEL, callbacks.CHANNEL):
            await listening.execute(f"LISTEN {channel}".encode())
        async with unit_of_work(engine) as connection:
            await appeals.close_appeal(
                connection, appeal_id=appeal_id, outcome="talked", ended_at=NOW
            )
        async with unit_of_work(engine) as connection:
            await promise(connection, appeal_id)  # what is told after it
        async for first in listening.notifies(timeout=LIMIT, stop_after=1):
            assert first.channel == (recent_drops.CHANNEL if notifies else callbacks.CHANNEL)
            return
    pytest.fail("nobody was told anything")


@pytest.mark.usefixtures("engine")
async def test_who_waits_for_notifications_turns_no_loop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, delays = asyncio.get_running_loop(), list[float]()
    call_later = loop.call_later

    def recorded(delay: float, *rest: Any) -> asyncio.TimerHandle:
        delays.append(delay)
        return call_later(delay, *rest)

    monkeypatch.setattr(loop, "call_later", recorded)
    listener = NotifyListener(settings)
    changes = listener.subscribe("nothing")
    async with running(listener.run), asyncio.timeout(LIMIT):
        await changes.wait(3600)
        assert delays[-1] > 1.0  # of the wait that has begun


@asynccontextmanager
async def over_tcp(settings: Settings) -> AsyncIterator[Settings]:
    """Settings by which the database is reached by TCP; its own socket is a UNIX one."""
    relay = SlowRelay(Path(str(conninfo_to_dict(settings.database)["host"])) / POSTGRES)
    async with stream_server(relay.carry) as server:
        url = make_url(settings.database).set(host="127.0.0.1", port=port_of(server), query={})
        database = url.render_as_string(hide_password=False)
        yield cast(Settings, SimpleNamespace(database=database))


@pytest.mark.usefixtures("engine")
async def test_a_dead_connection_is_found_in_half_a_minute(settings: Settings) -> None:
    """Nothing is sent on it, so the kernel asks the other side: then all look for what changed."""
    async with over_tcp(settings) as by_tcp:
        listener = NotifyListener(by_tcp)
        changes = listener.subscribe("nothing")
        async with running(listener.run), asyncio.timeout(LIMIT):
            await changes.wait(3600)
            port = make_url(by_tcp.database).port
            (ours,) = [
                each.fd
                for each in psutil.Process().net_connections("tcp4")
                if each.raddr and each.raddr.port == port
            ]
            with socket.socket(fileno=os.dup(ours)) as connection:
                idle, interval, count, unanswered = (
                    connection.getsockopt(socket.IPPROTO_TCP, each)
                    for each in (
                        socket.TCP_KEEPIDLE,
                        socket.TCP_KEEPINTVL,
                        socket.TCP_KEEPCNT,
                        socket.TCP_USER_TIMEOUT,
                    )
                )
    assert 0 < idle + interval * count + notify_listener.RETRY_INTERVAL <= 30
    assert 0 < unanswered <= 10_000


@pytest.mark.parametrize(
    ("interval", "logged"),
    [(60.0, ["gone", "slow"]), (0.0, ["gone", "gone", "gone", "slow"])],
)
async def test_a_fault_that_lasts_is_logged_at_intervals(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    interval: float,
    logged: list[str],
) -> None:
    monkeypatch.setattr(notify_listener, "REPEAT_INTERVAL", 0.01)
    monkeypatch.setattr(notify_listener, "LOG_INTERVAL", interval)
    causes, done = ["gone", "gone", "gone", "slow"], asyncio.Event()

    async def act() -> None:
        if causes:
            raise OperationFailed(causes.pop(0))
        done.set()

    changes = Subscription()
    changes.notify()
    async with running(lambda: changes.follow(act, "not sent", rest=0.0)), asyncio.timeout(LIMIT):
        await done.wait()
    assert caplog.messages == [f"not sent: OperationFailed: {cause}" for cause in logged]


async def test_a_dropped_caller_is_recognized_as_soon_as_notified(
    settings: Settings, engine: AsyncEngine, appeal_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notified_cache, "REFRESH_INTERVAL", 3600.0)
    listener = NotifyListener(settings)
    drops, listening = RecentDrops(engine, listener), listener.subscribe(recent_drops.CHANNEL)
    async with running(listener.run, drops.run):
        await listening.wait(LIMIT)
        async with unit_of_work(engine) as connection:
            await close(connection, appeal_id)
        await until(lambda: drops.contains(parse_caller_id(NUMBER)), "the caller was dropped")


class _WaitsForEver:
    """A handler whose callbacks get no place in the queue."""

    def is_over(self, callback: ClaimedCallback) -> None:
        return None

    @asynccontextmanager
    async def place(self, callback: ClaimedCallback) -> AsyncIterator[RedisQueuePlace]:
        await asyncio.Event().wait()
        yield cast(RedisQueuePlace, None)

    async def attempt(self, *_: object) -> bool:
        return False


async def test_a_callback_is_claimed_as_soon_as_requested(
    settings: Settings, engine: AsyncEngine, appeal_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_scheduler, "REFRESH_INTERVAL", 3600.0)
    monkeypatch.setattr(callback_scheduler, "POLL_INTERVAL", 0.02)
    listener = NotifyListener(settings)
    shared = cast(
        CallDependencies, SimpleNamespace(instance="line-1", engine=engine, queue=AsyncMock())
    )
    scheduler = CallbackScheduler(shared, _WaitsForEver(), listener)
    listening = listener.subscribe(callbacks.CHANNEL)
    async with running(listener.run, scheduler.run):
        await listening.wait(LIMIT)
        async with unit_of_work(engine) as connection:
            await promise(connection, appeal_id)
        async with unit_of_work(engine) as connection:  # not before its call is over
            await close(connection, appeal_id)
        await until(lambda: scheduler.claims, "the callback is claimed")


@pytest.mark.usefixtures("patient")
async def test_an_emptied_redis_is_alerted_again_of_what_is_late(
    settings: Settings,
    engine: AsyncEngine,
    redis: Redis,
    appeal_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callback_scheduler, "POLL_INTERVAL", 0.02)
    monkeypatch.setattr(callback_scheduler, "ALERT_INTERVAL", 0.1)
    shared = SimpleNamespace(instance="line-1", engine=engine, queue=RedisQueueMonitor(redis))
    scheduler = CallbackScheduler(
        cast(CallDependencies, shared), _WaitsForEver(), NotifyListener(settings)
    )

    async def is_alerted() -> bool:
        return bool(await redis.hexists(OPEN, f"callback:{promised}"))

    async with unit_of_work(engine) as connection:
        promised = await promise(connection, appeal_id, NOW - timedelta(hours=1))
    async with running(scheduler.run):
        await until(is_alerted, "supervisors are alerted")
        await redis.flushdb()
        await until(is_alerted, "and once more, since Redis has forgotten it")


async def test_urgent_voicemail_is_alerted_first_however_much_is_late(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what Redis does not take is raised by the next poll, a few at a time."""
    monkeypatch.setattr(callback_scheduler, "POLL_INTERVAL", 0.02)
    monkeypatch.setattr(callback_scheduler, "ALERT_INTERVAL", 3600.0)
    queue = AsyncMock()
    queue.alert_callback_overdue.return_value = False
    queue.alert_urgent_voicemail.return_value = True
    shared = SimpleNamespace(instance="line-1", engine=engine, queue=queue)
    scheduler = CallbackScheduler(
        cast(CallDependencies, shared), _WaitsForEver(), NotifyListener(settings)
    )
    async with unit_of_work(engine) as connection:
        for _ in range(2 * ALERTS_AT_ONCE):
            await promise(connection, await opened(connection, NOW), NOW - timedelta(hours=1))
        urgent = await leave_urgent_voicemail(connection, await opened(connection, NOW))
    async with running(scheduler.run):
        await until(lambda: queue.alert_callback_overdue.await_count > 40, "it goes on")
    assert queue.method_calls[0] == call.alert_urgent_voicemail(urgent, "kk")
    assert queue.alert_urgent_voicemail.await_count == 1
    first = queue.method_calls[1:ALERTS_AT_ONCE]
    assert queue.method_calls[ALERTS_AT_ONCE : 2 * ALERTS_AT_ONCE - 1] == first
