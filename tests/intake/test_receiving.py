"""A written message opens an appeal or joins one: once, whole, whatever it is and who fails."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import attachments
from callcenter.appeals.record import manual_intake, search_index
from callcenter.appeals.record import service as records
from callcenter.appeals.record import store as record_store
from callcenter.appeals.rules.states import Disposition
from callcenter.intake import queue, queue_store, service, store
from callcenter.intake.actions import IntakeAction
from callcenter.intake.rules.messages import TEXT_LIMIT
from callcenter.platform.core.errors import InvalidRequest, NotFound
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import unit_of_work
from tests.appeals import read_all_rows
from tests.intake.messages import PORTAL, TEXT, is_lock_awaited, message, receive, rows
from tests.polling import until
from tests.web.conftest import add_user, open_call
from tests.web.test_attachments import PDF

STORED = "SELECT count(*), count(DISTINCT appeal_id) FROM intake_message"


class Killed(BaseException):
    """The process was killed here."""


async def head(engine: AsyncEngine) -> Actor:
    user: User = await add_user(engine, "head", Role.HEAD)
    return Actor(user)


async def attach(engine: AsyncEngine, settings: Settings) -> None:
    """Attach a file to the first message of the portal."""
    keys, sent = RecordKeys.read(settings), message()
    by = (PORTAL, sent.source, sent.message_id)
    await service.attach(engine, keys, settings, *by, "scan.pdf", PDF)


async def test_a_message_opens_an_appeal_without_an_owner(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    received = await receive(web_engine, settings, message())
    assert received.is_new
    opened = await rows(engine, "SELECT number, channel, language, outcome, urgent FROM appeal")
    assert opened == [(received.number, "portal", "ru", "received", [])]
    assert await rows(engine, "SELECT owner, stage FROM record") == [(None, "contact")]
    [(subject, who, detail)] = await rows(
        engine, "SELECT subject, who, detail FROM audit_entry WHERE action = 'web:intake:received'"
    )
    assert (subject, who) == (f"appeal:{received.number}", "machine:portal")
    assert (detail["channel"], detail["opened"], detail["urgent"]) == ("portal", True, False)
    stored = await read_all_rows(engine)
    assert received.number in stored
    for said in (TEXT, "Аружан"):  # neither in clear, nor by their bytes
        assert said not in stored


@pytest.mark.parametrize("again", [{}, {"received_at": datetime.now(UTC) - timedelta(days=3)}])
async def test_the_same_message_again_changes_nothing(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, again: dict[str, Any]
) -> None:
    first = await receive(web_engine, settings, message())
    before = await read_all_rows(engine)
    second = await receive(web_engine, settings, message(**again))
    assert (second.number, second.is_new) == (first.number, False)
    assert await read_all_rows(engine) == before


async def test_messages_brought_by_many_at_once_are_stored_once(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    sent = [message(str(each % 2), thread="one") for each in range(8)]
    received = await asyncio.gather(*(receive(web_engine, settings, each) for each in sent))
    assert len({each.number for each in received}) == 1
    assert [each.is_new for each in received].count(True) == 2
    assert await rows(engine, STORED) == [(2, 1)]
    assert await rows(engine, "SELECT count(*) FROM appeal") == [(1,)]


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (manual_intake, "_initial_values"),
        (store, "insert_message"),
        (search_index, "index"),
        (service, "audit_appeal"),
    ],
)
async def test_killed_at_any_step_it_leaves_nothing_and_comes_again(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    step: str,
) -> None:
    before = await read_all_rows(engine)

    async def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, step, kill)
        with pytest.raises(Killed):
            await receive(web_engine, settings, message())
    assert await read_all_rows(engine) == before
    assert (await receive(web_engine, settings, message())).is_new
    assert await rows(engine, STORED) == [(1, 1)]


async def test_a_conversation_and_an_edited_message_stay_in_one_appeal(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    first = await receive(web_engine, settings, message("1", thread="a"))
    for each in (
        message("2", thread="a", text="И ещё"),
        message("2", thread="a", text="И ещё одно"),
        message("1", text="Другое"),
    ):
        received = await receive(web_engine, settings, each)
        assert (received.number, received.is_new) == (first.number, True)
    other = await receive(web_engine, settings, message("3", thread="b"))
    foreign = await receive(web_engine, settings, message("1", source="machine:other"))
    assert len({first.number, other.number, foreign.number}) == 3
    assert await rows(engine, STORED) == [(6, 3)]


async def test_a_person_joins_an_appeal_and_a_writer_names_one(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    first = await receive(web_engine, settings, message("1"))
    joined = await receive(web_engine, settings, message("2", joins=first.number))
    assert joined.number == first.number
    named = await receive(web_engine, settings, message("3", names=first.number))
    assert named.number != first.number
    with pytest.raises(NotFound):
        await receive(web_engine, settings, message("4", joins="2600000000"))
    assert await rows(engine, STORED) == [(3, 2)]


async def test_a_message_follows_its_appeal_into_where_it_goes_on(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    keys, actor = RecordKeys.read(settings), await head(engine)
    numbers = [
        (await receive(web_engine, settings, message(each, thread=each))).number for each in "abc"
    ]
    for number, into in pairwise(numbers):
        await manual_intake.merge(web_engine, keys, actor, number, 1, into, "одно и то же")
    later = await receive(web_engine, settings, message("4", thread="a"))
    assert later.number == numbers[-1]
    assert await rows(engine, STORED) == [(4, 1)]


async def test_nothing_is_written_where_personal_data_were_erased(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    keys, actor = RecordKeys.read(settings), await head(engine)
    first = await receive(web_engine, settings, message("1", thread="a"))
    await queue.take(web_engine, keys, actor, first.number)
    prank = Disposition.PRANK
    await records.close_without_request(web_engine, keys, actor, first.number, 1, prank)
    assert await rows(engine, "SELECT sealed FROM intake_message") == [(None,)]
    again = await receive(web_engine, settings, message("1", thread="a"))
    assert (again.number, again.is_new) == (first.number, False)  # the hash outlives the words
    later = await receive(web_engine, settings, message("2", thread="a"))
    assert (later.number != first.number, later.is_new) == (True, True)
    with pytest.raises(InvalidRequest):
        await receive(web_engine, settings, message("3", joins=first.number))


async def test_a_message_joins_a_call_that_nobody_wrote_down(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    _, number = await open_call(engine, "call-1", datetime.now(UTC))
    assert (await receive(web_engine, settings, message(joins=number))).number == number
    async with unit_of_work(engine) as connection:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        waiting = await queue_store.list_overdue(connection, tomorrow, 100)
    assert [each.number for each in waiting] == [number]


async def test_a_message_locks_its_appeal_before_the_record(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    """As masking and the journal of a call do: the appeal is locked before its record."""
    keys = RecordKeys.read(settings)
    await receive(web_engine, settings, message("1", thread="a"))
    [(appeal_id,)] = await rows(engine, "SELECT id FROM appeal")
    urgent = message("2", thread="a", is_urgent=True)
    async with asyncio.TaskGroup() as group, unit_of_work(web_engine) as connection:
        await appeals.add_urgencies(connection, appeal_id=appeal_id, urgent=["silent"])
        group.create_task(receive(web_engine, settings, urgent))
        await until(lambda: is_lock_awaited(engine), "the message waits")
        await record_store.find(connection, keys, appeal_id, alone=True)
    assert await rows(engine, "SELECT urgent FROM appeal") == [(["silent", "danger"],)]


async def test_a_message_locks_only_the_appeal_it_goes_on_in(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    """A merge that comes again locks both in an order of its own."""
    keys, actor = RecordKeys.read(settings), await head(engine)
    number, into = [
        (await receive(web_engine, settings, message(each, thread=each))).number for each in "ab"
    ]
    await manual_intake.merge(web_engine, keys, actor, number, 1, into, "одно и то же")
    [(joined,), (target,)] = await rows(engine, "SELECT id FROM appeal ORDER BY number")
    later = message("3", joins=number)
    async with asyncio.TaskGroup() as group, unit_of_work(web_engine) as connection:
        await record_store.find(connection, keys, target, alone=True)
        received = group.create_task(receive(web_engine, settings, later))
        await until(lambda: is_lock_awaited(engine), "the message waits")
        await record_store.find(connection, keys, joined, alone=True)
    assert received.result().number == into


async def test_a_file_locks_its_contact_before_the_audit_log(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As whoever puts a contact out of hand does: what is audited waits for nothing else."""
    monkeypatch.setattr(attachments, "store_content", lambda *_: None)
    number = (await receive(web_engine, settings, message())).number
    [(appeal_id,)] = await rows(engine, "SELECT id FROM appeal")
    async with asyncio.TaskGroup() as group, unit_of_work(web_engine) as connection:
        await queue_store.find_open(connection, appeal_id)
        group.create_task(attach(web_engine, settings))
        await until(lambda: is_lock_awaited(engine), "the file waits")
        await records.audit_appeal(connection, PORTAL, IntakeAction.CONTACT_DONE, number)
    assert await rows(engine, "SELECT state FROM record_attachment") == [("kept",)]


async def test_a_file_locks_its_appeal_before_itself(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As whoever erases personal data does: the appeal is locked before its files."""
    keys, loop = RecordKeys.read(settings), asyncio.get_running_loop()
    begun, is_locked = asyncio.Event(), threading.Event()

    def pause(*_: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        is_locked.wait()

    monkeypatch.setattr(attachments, "store_content", pause)
    await receive(web_engine, settings, message())
    [(appeal_id,)] = await rows(engine, "SELECT id FROM appeal")
    async with asyncio.TaskGroup() as group:
        group.create_task(attach(web_engine, settings))
        await begun.wait()
        async with unit_of_work(web_engine) as connection:
            await record_store.find(connection, keys, appeal_id, alone=True)
            is_locked.set()
            await until(lambda: is_lock_awaited(engine), "the file waits")
            await connection.execute(text("UPDATE record_attachment SET why = NULL"))
    assert await rows(engine, "SELECT state FROM record_attachment") == [("kept",)]


async def test_danger_in_a_later_message_makes_the_appeal_urgent(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    await receive(web_engine, settings, message("1", thread="a"))
    for each in ("2", "3"):
        await receive(web_engine, settings, message(each, thread="a", is_urgent=True))
    assert await rows(engine, "SELECT urgent FROM appeal") == [(["danger"],)]


@pytest.mark.parametrize(
    "hostile",
    [
        "\0\x1b[31m" + TEXT,
        TEXT + "\u202egnp.exe",
        TEXT + "\ud83d",
        TEXT + " <script>alert(1)</script> {{ 7 * 7 }} ' ; DROP TABLE appeal",
        "\u0301" * 1000 + TEXT,
        TEXT + "\r\n.\r\n",
    ],
)
async def test_a_hostile_message_is_stored_and_can_be_read(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, hostile: str
) -> None:
    await receive(web_engine, settings, message(text=hostile, sender=hostile[:100]))
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        ids = await connection.execute(text("SELECT id FROM appeal"))
        [stored] = await store.list_messages(connection, keys, list(ids.scalars()))
    assert TEXT in stored.text
    assert not set(stored.text) & set("\0\x1b\r\u202e")


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "а" * (TEXT_LIMIT + 1)},
        {"sender": "а" * 501},
        {"message_id": ""},
        {"message_id": "а" * 201},
        {"thread": "а" * 201},
        {"language": "en"},
        {"received_at": datetime.now(UTC) + timedelta(hours=1)},
        {"received_at": datetime(1999, 1, 1, tzinfo=UTC)},
        {"phone": "звонил"},
    ],
)
async def test_what_cannot_be_stored_whole_is_refused_whole(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, wrong: dict[str, Any]
) -> None:
    first = await receive(web_engine, settings, message("first"))
    before = await read_all_rows(engine)
    for joins in ("", first.number):
        with pytest.raises(InvalidRequest):
            await receive(web_engine, settings, message(**{"joins": joins} | wrong))
    assert await read_all_rows(engine) == before


async def test_a_clock_that_is_ahead_is_set_to_ours(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    ahead = datetime.now(UTC) + timedelta(minutes=4)
    await receive(web_engine, settings, message(received_at=ahead))
    assert await rows(engine, "SELECT received_at <= now() FROM appeal") == [(True,)]


@pytest.mark.parametrize(
    ("said", "newest"), [({}, (2, 2, 1)), ({"text": " ", "sender": ""}, (None, None, None))]
)
async def test_the_same_words_are_pointed_out_in_the_newest(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    said: dict[str, Any],
    newest: tuple[int | None, ...],
) -> None:
    monkeypatch.setattr(store, "SAME_LIMIT", 1)
    numbers = [
        (await receive(web_engine, settings, message(each, **said))).number for each in "123"
    ]
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        ids = await connection.execute(text("SELECT id FROM appeal ORDER BY number"))
        found = [await store.list_messages(connection, keys, [each]) for each in ids.scalars()]
    expected = [() if each is None else (numbers[each],) for each in newest]
    assert [stored.same_in for [stored] in found] == expected
