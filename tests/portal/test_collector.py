"""What came through the portal is handed to intake: at once, danger first, each once."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pyrage
import pytest
from pyrage import x25519
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record import manual_intake, search_index
from callcenter.appeals.record import service as records
from callcenter.appeals.rules.states import Disposition
from callcenter.intake import queue, service
from callcenter.intake import store as messages
from callcenter.intake.alerts import PORTAL_STUCK
from callcenter.intake.drivers.portal import store
from callcenter.intake.drivers.portal.collector import collect, run_collector
from callcenter.intake.drivers.portal.opening import PORTAL, publish_key
from callcenter.intake.jobs import alert_of_unread
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.portal import store as portal
from callcenter.portal.sealing import read_sealing_key
from callcenter.recordings.sealing import keys
from tests.intake.messages import TEXT, rows
from tests.polling import require_within, until
from tests.portal.conftest import Visitor, visitor_of
from tests.services import opened_as
from tests.web.conftest import add_user

STORED = "SELECT count(*), count(DISTINCT appeal_id) FROM intake_message"
WAITING = "SELECT count(*) FROM portal_message WHERE sealed IS NOT NULL"
TAKEN = "SELECT number FROM appeal JOIN intake_message ON appeal_id = appeal.id ORDER BY stored_at"
TAKEN_LIMIT = 5.0  # seconds until danger heads the queue


class Killed(BaseException):
    """The process was killed here."""


async def test_danger_is_taken_first_and_at_once(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, redis: Redis
) -> None:
    for each in range(20):
        await visitor.write(f"{TEXT} {each}")
    number, _ = await visitor.write(TEXT, danger="yes")
    began = time.monotonic()
    collecting = asyncio.create_task(run_collector(worker, redis))

    async def is_taken() -> bool:
        return await rows(engine, WAITING) == [(0,)]

    await until(is_taken)
    require_within(time.monotonic() - began, TAKEN_LIMIT, "messages taken")
    later, _ = await visitor.write("Потом")
    await until(is_taken)
    collecting.cancel()
    with suppress(asyncio.CancelledError):
        await collecting
    taken = await rows(engine, TAKEN)
    assert (taken[0], taken[-1]) == ((number,), (later,))
    urgent = await rows(engine, "SELECT number FROM appeal WHERE urgent = '{danger}'")
    assert urgent == [(number,)]


async def test_one_skipped_while_its_receipt_is_given_is_taken(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its row is locked then, and the collector looks again by itself after a minute only."""
    listening, locked, skipped = asyncio.Event(), asyncio.Event(), asyncio.Event()
    look, give = store.lock_next, portal.give_receipt

    async def look_while_locked(*where: Any) -> Any:
        if not listening.is_set():
            listening.set()
            return None
        await locked.wait()
        found = await look(*where)
        skipped.set()
        return found

    async def give_when_skipped(*given: Any) -> bool:
        async with unit_of_work(engine) as connection:
            await connection.execute(text("SELECT FROM portal_message FOR UPDATE"))
            locked.set()
            await skipped.wait()
        return await give(*given)

    monkeypatch.setattr(store, "lock_next", look_while_locked)
    monkeypatch.setattr(portal, "give_receipt", give_when_skipped)
    collecting = asyncio.create_task(run_collector(worker, redis))
    await listening.wait()
    number, _ = await visitor.write(TEXT, danger="yes")

    async def is_taken() -> bool:
        return await rows(engine, "SELECT number FROM appeal") == [(number,)]

    await until(is_taken)
    collecting.cancel()
    with suppress(asyncio.CancelledError):
        await collecting


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (service, "receive"),
        (messages, "insert_message"),
        (search_index, "index"),
        (service, "audit_appeal"),
        (store, "mark_taken"),
    ],
)
async def test_killed_at_any_step_a_message_is_taken_once(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    step: str,
) -> None:
    number, _ = await visitor.write(TEXT)

    async def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, step, kill)
        with pytest.raises(Killed):
            await collect(worker)
    assert await rows(engine, STORED) == [(0, 0)]
    await asyncio.gather(collect(worker), collect(worker))
    assert await rows(engine, STORED) == [(1, 1)]
    assert await rows(engine, "SELECT number FROM appeal") == [(number,)]
    assert await rows(engine, WAITING) == [(0,)]


async def test_several_workers_take_each_message_once(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine
) -> None:
    numbers = {(await visitor.write(f"{TEXT} {each}"))[0] for each in range(6)}
    await asyncio.gather(*(collect(worker) for _ in range(4)))
    assert await rows(engine, STORED) == [(6, 6)]
    assert {number for (number,) in await rows(engine, "SELECT number FROM appeal")} == numbers


async def test_what_cannot_be_opened_keeps_nobody_waiting(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    settings: Settings,
    redis: Redis,
) -> None:
    await visitor.write(TEXT)
    [(first,)] = await rows(engine, "SELECT id FROM portal_message")
    [ours] = (settings.keys / PORTAL).iterdir()
    lost = ours.rename(settings.keys / "lost")
    keys.make(settings.keys, PORTAL)
    publish_key(settings)
    async with opened_as(DatabaseRole.PORTAL, settings) as other_engine:
        other = visitor_of(settings, other_engine)
        async with other.client:
            await other.write("Другое")
        await collect(worker)
    assert (await rows(engine, WAITING), await rows(engine, STORED)) == ([(1,)], [(1, 1)])
    await alert_of_unread(worker, redis, datetime.now(UTC))
    assert await redis.hkeys(OPEN) == []
    await alert_of_unread(worker, redis, datetime.now(UTC) + timedelta(minutes=2))
    assert f"{PORTAL_STUCK.key}:{first}" in await redis.hkeys(OPEN)
    lost.rename(ours.with_name("0002.key"))  # it is back
    await collect(worker)
    assert await rows(engine, WAITING) == [(1,)]  # it is not tried at each message
    await rows(engine, "UPDATE portal_message SET retry_at = now() - interval '1 s' RETURNING 1")
    await collect(worker)
    assert await rows(engine, STORED) == [(2, 2)]
    await alert_of_unread(worker, redis, datetime.now(UTC))
    assert await redis.hkeys(OPEN) == []


@pytest.mark.parametrize(
    "written",
    [
        {"language": "ru", "text": 5, "is_urgent": False},
        {"language": [], "text": TEXT, "is_urgent": False},
        {"language": "ru", "text": TEXT, "is_urgent": "no"},
        {"language": "ru", "text": "z" * 100_001, "is_urgent": True},
        {"language": "ru", "text": "\ud800", "is_urgent": True},
        {"more": True},
        None,
    ],
)
async def test_what_a_thief_seals_keeps_nobody_waiting(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    settings: Settings,
    written: dict[str, object] | None,
) -> None:
    message = uuid4()
    said = "[" * 300_000 if written is None else json.dumps({"id": str(message), **written})
    key = x25519.Recipient.from_str(read_sealing_key(settings))
    sealed = pyrage.encrypt(said.encode(), [key])
    async with opened_as(DatabaseRole.PORTAL, settings) as thief:
        await portal.receive(thief, uuid4(), message, sealed, is_urgent=True)
    await visitor.write(TEXT)
    await collect(worker)
    assert await rows(engine, "SELECT id FROM portal_message WHERE sealed IS NOT NULL") == [
        (message,)
    ]
    assert await rows(engine, STORED) == [(1, 1)]


@pytest.mark.parametrize("fault", [OperationalError("", {}, Exception()), RuntimeError()])
async def test_a_message_that_fails_is_tried_again_behind_others(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
) -> None:
    numbers = [(await visitor.write(f"{TEXT} {each}", danger="yes"))[0] for each in range(3)]
    taken, receives = list[str](), service.receive

    async def fail_first(*arguments: Any) -> service.IntakeReceipt:
        if arguments[-1].number == numbers[0]:
            async with unit_of_work(worker.engine) as connection:
                await connection.execute(text("SELECT 1"))
                raise fault
        taken.append(arguments[-1].number)
        return await receives(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(service, "receive", fail_first)
        with pytest.raises(OperationFailed, match=type(fault).__name__):
            await collect(worker)
    assert taken == numbers[1:]
    assert "in fail_first" in caplog.text  # where it is, for it may be our own
    await collect(worker)
    assert await rows(engine, STORED) == [(3, 3)]


async def test_what_failed_waits_behind_all_that_is_new(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine
) -> None:
    """Also in danger: who took the portal over can send any number of such."""
    failed, _ = await visitor.write(TEXT, danger="yes")
    await rows(engine, "UPDATE portal_message SET retry_at = now() RETURNING 1")
    in_danger, _ = await visitor.write("Другое", danger="yes")
    ordinary, _ = await visitor.write("И это")
    await collect(worker)
    assert await rows(engine, TAKEN) == [(in_danger,), (ordinary,), (failed,)]


async def test_a_thief_fills_no_list_of_alerts(
    worker: WorkerResources, engine: AsyncEngine, redis: Redis
) -> None:
    await rows(
        engine,
        "INSERT INTO portal_message (id, form, year, sequence, urgent, received_at, sealed)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 26, n, true, now(), 'x'"
        " FROM generate_series(1, 300) AS n RETURNING 1",
    )
    await alert_of_unread(worker, redis, datetime.now(UTC) + timedelta(minutes=2))
    first = await rows(engine, "SELECT id FROM portal_message ORDER BY id LIMIT 100")
    # Others of the same moment would be closed and raised anew each minute.
    assert set(await redis.hkeys(OPEN)) == {f"{PORTAL_STUCK.key}:{each}" for (each,) in first}
    assert len(first) == store.LISTED


async def test_an_older_key_opens_what_was_sealed_before(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, settings: Settings
) -> None:
    await visitor.write(TEXT)
    keys.make(settings.keys, PORTAL)
    publish_key(settings)
    await collect(worker)
    assert await rows(engine, STORED) == [(1, 1)]


LEFT = "SELECT count(left_at) FROM portal_message"
ERASED = "SELECT coalesce(sealed, proof_hash, locked, sealed_copy), recipient FROM portal_message"


@pytest.fixture
async def prank(
    engine: AsyncEngine, web_engine: AsyncEngine, worker: WorkerResources
) -> Callable[[str], Awaitable[None]]:
    """What closes an appeal without a request, as a prank, by which it is masked."""
    record_keys = RecordKeys.read(worker.settings)
    head = Actor(await add_user(engine, "head", Role.HEAD))

    async def close(number: str) -> None:
        await queue.take(web_engine, record_keys, head, number)
        await records.close_without_request(
            web_engine, record_keys, head, number, 1, Disposition.PRANK
        )

    return close


@pytest.mark.parametrize("again", ["", "Другое"])
async def test_what_is_sent_after_masking_is_a_new_matter(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    prank: Callable[[str], Awaitable[None]],
    again: str,
) -> None:
    token = await visitor.token()
    first = await visitor.write("", token, danger="yes")
    await collect(worker)
    leave = "SELECT portal_note_exit(form) FROM portal_message"
    await rows(engine, leave)
    assert await rows(engine, LEFT) == [(1,)]
    await prank(first[0])
    assert await rows(engine, ERASED) == [(None, None)]
    assert await rows(engine, LEFT) == [(0,)]
    await rows(engine, leave)  # from a page that is still open
    assert await rows(engine, LEFT) == [(0,)]
    assert (await visitor.open(*first)).status_code == 400
    second = await visitor.write(again, token, danger="yes")
    assert second == await visitor.write(again, token, danger="yes")
    assert await rows(engine, WAITING) == [(1,)]
    await collect(worker)
    numbers = await rows(engine, "SELECT number FROM appeal WHERE urgent = '{danger}' ORDER BY 1")
    assert numbers == [(first[0],), (second[0],)]
    assert (await visitor.open(*second)).status_code == 200
    await prank(second[0])
    assert (await visitor.write(again, token, danger="yes"))[0] not in {first[0], second[0]}


async def test_the_copy_goes_on_in_the_joined_appeal(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, web_engine: AsyncEngine
) -> None:
    """It is erased with that one."""
    first, second = await visitor.write(TEXT), await visitor.write("Другое")
    await collect(worker)
    record_keys = RecordKeys.read(worker.settings)
    head = Actor(await add_user(engine, "head", Role.HEAD))
    await manual_intake.merge(web_engine, record_keys, head, first[0], 1, second[0], "одно")
    of = "SELECT number, count(*) FROM portal_message JOIN appeal ON appeal_id = appeal.id"
    assert await rows(engine, f"{of} GROUP BY 1") == [(second[0], 2)]
    assert TEXT in (await visitor.open(*first)).text


async def test_danger_sent_again_later_is_read_again(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine
) -> None:
    token = await visitor.token()
    receipt = await visitor.write("", token, danger="yes")
    later = "UPDATE portal_message SET received_at = received_at - interval '61 s' RETURNING 1"
    await rows(engine, later)
    assert await visitor.write("", token, danger="yes") == receipt  # nobody can have read it
    await collect(worker)
    for waiting in (1, 0):  # a page that is sent twice at once
        assert await visitor.write("", token, danger="yes") == receipt
        assert await rows(engine, WAITING) == [(waiting,)]
        await collect(worker)
    await rows(engine, later)
    assert await visitor.write("", token, danger="yes") == receipt
    await collect(worker)
    assert await rows(engine, STORED) == [(3, 1)]


async def test_masked_while_another_waits_its_number_is_used_up(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    prank: Callable[[str], Awaitable[None]],
) -> None:
    token = await visitor.token()
    number, words = await visitor.write(TEXT, token)
    await collect(worker)
    await visitor.write("Другое", token)
    await prank(number)
    await collect(worker)
    assert len(set(await rows(engine, "SELECT number FROM appeal"))) == 2
    assert "Другое" in (await visitor.open(number, words)).text


async def test_masked_before_its_receipt_a_message_gets_none(
    visitor: Visitor,
    worker: WorkerResources,
    engine: AsyncEngine,
    prank: Callable[[str], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token, give_receipt = await visitor.token(), portal.give_receipt

    async def masked_meanwhile(*given: Any) -> bool:
        await collect(worker)
        await prank((await rows(engine, "SELECT number FROM appeal"))[0][0])
        return await give_receipt(*given)

    with monkeypatch.context() as patched:
        patched.setattr(portal, "give_receipt", masked_meanwhile)
        assert (await visitor.send(TEXT, token)).status_code == 503
    assert await rows(engine, ERASED) == [(None, None)]
    number, words = await visitor.write(TEXT, token)
    assert await rows(engine, f"{ERASED} WHERE appeal_id IS NOT NULL") == [(None, None)]
    assert TEXT in (await visitor.open(number, words)).text
