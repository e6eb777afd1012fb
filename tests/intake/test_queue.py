"""Written contacts stand beside calls: who gets which, when, and what nobody reads goes back."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form.store import read_form
from callcenter.appeals.record import assignment, manual_intake
from callcenter.appeals.record import service as records
from callcenter.appeals.record.no_request import ClosedAppeal, repeat_closing
from callcenter.appeals.rules.fields import Content
from callcenter.appeals.rules.states import (
    AppealKind,
    AppealState,
    Disposition,
    MissingRequirements,
)
from callcenter.appeals.tables import record
from callcenter.intake import jobs, queue, queue_store, service
from callcenter.intake.jobs import alert_of_unread
from callcenter.intake.rules.queue import WrittenQueue
from callcenter.platform.core.errors import Conflict, InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.monitoring.alerts import OPEN as OPENED
from callcenter.platform.monitoring.alerts import close_alerts
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.intake.messages import (
    add_consultant,
    change,
    is_lock_awaited,
    message,
    receive,
    rows,
)
from tests.polling import until
from tests.services import changed

EXPIRE = "UPDATE written_contact SET offered_until = now() - interval '1 second'"
OPEN = "SELECT done_at IS NULL FROM written_contact ORDER BY 1"
DECIDED = {"content": "-", "decision": "-", "decision_reason": "-"}
PERSON = {"applicant.name": "Асқар Серікұлы", "applicant.address": "Абай көшесі 1"}


async def written(
    engine: AsyncEngine, settings: Settings, *names: str, **said: object
) -> list[str]:
    """Numbers of the appeals of these messages, each in a conversation of its own."""
    return [
        (await receive(engine, settings, message(each, thread=each, **said))).number
        for each in names
    ]


async def offered(
    engine: AsyncEngine, settings: Settings, actor: Actor, extension: str
) -> str | None:
    return await queue.offer_next(engine, settings, actor, extension)


async def take(engine: AsyncEngine, settings: Settings, actor: Actor, number: str) -> None:
    await queue.take(engine, RecordKeys.read(settings), actor, number)


async def seen(engine: AsyncEngine) -> WrittenQueue:
    async with unit_of_work(engine) as connection:
        return await queue_store.read_queue(connection, datetime.now(UTC))


async def test_danger_heads_the_queue_above_all_that_came_before(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    await written(web_engine, settings, *map(str, range(20)), received_at=long_ago)
    [urgent] = await written(web_engine, settings, "danger", is_urgent=True)
    reader = await add_consultant(engine, "2001")
    assert await offered(web_engine, settings, reader, "2001") == urgent
    waiting = await seen(engine)
    assert (waiting.waiting, waiting.urgent, waiting.overdue) == (20, 0, 20)
    assert [each.number for each in waiting.held_by(reader.name)] == [urgent]


async def test_a_contact_waits_for_its_language_and_skill(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    [number] = await written(web_engine, settings, "1", language="kk")
    russian = await add_consultant(engine, "2001", "ru")
    both = await add_consultant(engine, "2002")
    lawyer = await add_consultant(engine, "2003", "kk", skills={"lawyer": 1})
    assert await offered(web_engine, settings, russian, "2001") is None
    assert await offered(web_engine, settings, both, "2002") == number
    with pytest.raises(InvalidRequest):
        await queue.give_back(web_engine, both, number, "astronaut")
    await queue.give_back(web_engine, both, number, "lawyer")
    senior = await add_consultant(engine, "2004")
    assert await offered(web_engine, settings, senior, "2004") is None
    assert await offered(web_engine, settings, lawyer, "2003") == number


async def test_what_nobody_reads_goes_back_after_the_set_time(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    short = changed(settings, written_offer_timeout=30)
    [number] = await written(web_engine, short, "1")
    first, second = [await add_consultant(engine, each) for each in ("2001", "2002")]
    assert await offered(web_engine, short, first, "2001") == number
    assert await offered(web_engine, short, second, "2002") is None  # it is offered to one
    [(left,)] = await rows(engine, "SELECT offered_until - now() FROM written_contact")
    assert timedelta() < left <= timedelta(seconds=30)
    await change(engine, EXPIRE)
    assert (await seen(engine)).waiting == 1
    assert await offered(web_engine, short, first, "2001") is None  # not to the same again
    assert await offered(web_engine, short, second, "2002") == number
    assert await rows(engine, "SELECT holder, returns FROM written_contact") == [(second.name, 1)]


async def test_somebody_alone_is_offered_it_again_in_the_end(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    [number] = await written(web_engine, settings, "1")
    alone = await add_consultant(engine, "2001")
    assert await offered(web_engine, settings, alone, "2001") == number
    await change(engine, "UPDATE written_contact SET offered_until = now() - interval '10 minutes'")
    assert await offered(web_engine, settings, alone, "2001") == number


async def test_who_let_a_contact_go_may_request_it(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    [let_go] = await written(web_engine, settings, "1", is_urgent=True)
    alone = await add_consultant(engine, "2001")

    async def requested() -> str | None:
        return await queue.offer_next(web_engine, settings, alone, "2001", is_requested=True)

    assert await offered(web_engine, settings, alone, "2001") == let_go
    await change(engine, EXPIRE)
    assert await offered(web_engine, settings, alone, "2001") is None
    [other] = await written(web_engine, settings, "2")
    assert await requested() == other  # it was not let go
    await take(web_engine, settings, alone, other)
    await change(engine, "UPDATE written_contact SET queued_at = now() - interval '1 minute'")
    assert await requested() == let_go


async def test_all_who_ask_at_once_get_different_contacts(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    numbers = await written(web_engine, settings, *"abcd")
    people = {f"200{each}": await add_consultant(engine, f"200{each}") for each in range(6)}
    found = await asyncio.gather(
        *(
            offered(web_engine, settings, actor, each)
            for each, actor in people.items()
            for _ in "12"
        )
    )
    assert sorted(each for each in found if each) == sorted(numbers)


async def test_a_consultant_has_one_unread_and_the_capacity_at_most(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    two = changed(settings, written_capacity=2)
    await written(web_engine, two, *"abcd")
    await change(engine, "UPDATE written_contact SET queued_at = now() - interval '1 minute'")
    reader = await add_consultant(engine, "2001")
    first = await offered(web_engine, two, reader, "2001")
    assert first is not None
    assert await offered(web_engine, two, reader, "2001") is None  # the first is not read yet
    await take(web_engine, two, reader, first)
    second = await offered(web_engine, two, reader, "2001")
    assert second is not None
    await take(web_engine, two, reader, second)
    assert await offered(web_engine, two, reader, "2001") is None
    # What was closed, or put out of hand, makes room.
    keys = RecordKeys.read(two)
    saved = await records.save(
        *(web_engine, keys, reader, first, 1, AppealKind.CONSULTATION),
        {"help": ["information"], **DECIDED},
    )
    await records.move(web_engine, keys, reader, first, saved.version, AppealState.CLOSED)
    third = await offered(web_engine, two, reader, "2001")
    assert third is not None
    await queue.finish(web_engine, reader, second)
    await take(web_engine, two, reader, third)
    assert await offered(web_engine, two, reader, "2001") is not None


@pytest.mark.parametrize("after", [AppealState.CLOSED, AppealState.REGISTERED])
async def test_what_was_read_ends_with_the_work_on_its_appeal(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, after: AppealState
) -> None:
    reader, keys = await add_consultant(engine, "2001"), RecordKeys.read(settings)
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, number)
    content: Content = {"help": ["information"], **DECIDED, **PERSON}
    statement = AppealKind.STATEMENT
    saved = await records.save(web_engine, keys, reader, number, 1, statement, content)
    moved = await records.move(web_engine, keys, reader, number, saved.version, after)
    ended = after is AppealState.CLOSED
    assert len((await seen(engine)).held) == (not ended)
    assert await rows(engine, OPEN) == [(not ended,)]
    if ended:  # opened again it is in nobody's hand
        again = (moved.version, AppealState.IN_WORK, "просит ещё раз")
        await records.move(web_engine, keys, reader, number, *again)
        assert (await seen(engine)).held == []


@pytest.mark.parametrize("stage", [AppealState.FORWARDED, AppealState.ANSWERED, AppealState.CLOSED])
async def test_a_message_in_a_done_appeal_is_in_hand(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, stage: AppealState
) -> None:
    reader, one = await add_consultant(engine, "2001"), changed(settings, written_capacity=1)
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, number)
    await queue.finish(web_engine, reader, number)
    async with unit_of_work(engine) as connection:
        await connection.execute(update(record).values(stage=stage.value))
    await receive(web_engine, settings, message("2", thread="a", text="Ещё"))
    await take(web_engine, settings, reader, number)
    [contact] = (await seen(engine)).held_by(reader.name)
    assert (contact.number, contact.is_in_hand) == (number, True)
    await written(web_engine, settings, "b")
    assert await offered(web_engine, one, reader, "2001") is None
    await queue.finish(web_engine, reader, number)
    assert await offered(web_engine, one, reader, "2001") is not None


async def test_what_came_after_reading_is_not_put_out_of_hand(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    reader = await add_consultant(engine, "2001")
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, number)
    await receive(web_engine, settings, message("2", thread="a", text="Ещё"))
    with pytest.raises(Conflict):
        await queue.finish(web_engine, reader, number)
    assert await rows(engine, OPEN) == [(True,)]
    await take(web_engine, settings, reader, number)
    await queue.finish(web_engine, reader, number)
    assert await rows(engine, OPEN) == [(False,)]


async def test_nobody_erases_what_they_have_not_read(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    reader, other = [await add_consultant(engine, each) for each in ("2001", "2002")]
    keys, sealed = RecordKeys.read(settings), "SELECT count(sealed) FROM intake_message"
    [number] = await written(web_engine, settings, "a")

    async def close(actor: Actor) -> None:
        seen_before = (number, 1, Disposition.PRANK)
        await records.close_without_request(web_engine, keys, actor, *seen_before)

    await take(web_engine, settings, reader, number)
    await receive(web_engine, settings, message("2", thread="a", text="Меня бьют"))
    for _ in range(2):  # first it is unread, then another has it in hand
        with pytest.raises(MissingRequirements):
            await close(reader)
        assert await rows(engine, sealed) == [(2,)]
        await take(web_engine, settings, other, number)
    await close(other)
    assert await rows(engine, sealed) == [(0,)]
    assert await rows(engine, OPEN) == [(False,)]


async def test_what_a_restore_erases_again_waits_for_nobody(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    await written(web_engine, settings, "a")
    [(appeal_id,)] = await rows(engine, "SELECT id FROM appeal")
    now = datetime.now(UTC)
    done = ClosedAppeal(appeal_id, None, now, "user:a", Disposition.PRANK.value)
    async with unit_of_work(engine) as connection:
        form = await read_form(connection)
        await repeat_closing(connection, RecordKeys.read(settings), form, done, now)
    assert await rows(engine, OPEN) == [(False,)]
    assert (await seen(engine)).waiting == 0


@pytest.mark.parametrize("is_of_all", [False, True])
async def test_who_is_given_an_appeal_has_what_is_in_hand(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, *, is_of_all: bool
) -> None:
    before, after = [await add_consultant(engine, each) for each in ("2001", "2002")]
    senior = await add_consultant(engine, "2003", role=Role.SENIOR)
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, before, number)
    given = (web_engine, RecordKeys.read(settings), senior)
    if is_of_all:
        await assignment.assign_all(*given, before.name, after.name, "ушёл")
    else:
        await assignment.assign(*given, number, 1, after.name, "болен")
    [contact] = (await seen(engine)).held
    assert (contact.holder, contact.is_in_hand) == (after.name, True)


async def test_fewer_in_hand_is_first(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    [number] = await written(web_engine, settings, "a")
    busy, idle = [await add_consultant(engine, each) for each in ("2001", "2002")]
    assert await offered(web_engine, settings, busy, "2001") == number
    await take(web_engine, settings, busy, number)
    [later] = await written(web_engine, settings, "b")
    assert await offered(web_engine, settings, busy, "2001") is None
    assert await offered(web_engine, settings, idle, "2002") == later
    [last] = await written(web_engine, settings, "c")
    await change(engine, "UPDATE written_contact SET queued_at = now() - interval '2 seconds'")
    assert await offered(web_engine, settings, busy, "2001") == last


async def test_a_call_takes_unread_contacts_from_its_consultant(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    reader, other = [await add_consultant(engine, each) for each in ("2001", "2002")]
    [read] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, read)
    [unread] = await written(web_engine, settings, "b")
    await change(engine, "UPDATE written_contact SET queued_at = now() - interval '1 minute'")
    assert await offered(web_engine, settings, reader, "2001") == unread
    await queue.withdraw_offers(web_engine, reader)
    assert [each.number for each in (await seen(engine)).held_by(reader.name)] == [read]
    assert await offered(web_engine, settings, other, "2002") == unread
    await queue.withdraw_offers(web_engine, other)
    assert await offered(web_engine, settings, other, "2002") == unread  # after the call
    assert await rows(engine, "SELECT sum(returns) FROM written_contact") == [(0,)]


async def test_who_takes_a_contact_has_its_appeal_alone(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    [number] = await written(web_engine, settings, "a")
    reader, other = [await add_consultant(engine, each) for each in ("2001", "2002")]
    await take(web_engine, settings, reader, number)
    assert await rows(engine, "SELECT owner FROM record") == [(reader.name,)]
    with pytest.raises(Conflict):
        await take(web_engine, settings, other, number)
    for refused in (queue.give_back, queue.finish):
        with pytest.raises(Conflict):
            await refused(web_engine, other, number)
    senior = await add_consultant(engine, "2003", role=Role.SENIOR)
    await queue.give_back(web_engine, senior, number)
    await take(web_engine, settings, other, number)
    await queue.finish(web_engine, other, number)
    with pytest.raises(Conflict):
        await take(web_engine, settings, reader, number)
    audited = await rows(
        engine, "SELECT action, who FROM audit_entry WHERE action ~ 'intake' ORDER BY id OFFSET 1"
    )
    assert audited == [
        ("web:intake:taken", reader.who),
        ("web:intake:given_back", senior.who),
        ("web:intake:taken", other.who),
        ("web:intake:done", other.who),
    ]


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_further_message_is_offered_to_its_reader_first(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, *, is_done: bool
) -> None:
    reader, other = [await add_consultant(engine, each) for each in ("2001", "2002")]
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, number)
    if is_done:
        await queue.finish(web_engine, reader, number)
    await receive(web_engine, settings, message("2", thread="a", text="Ещё"))
    [contact] = (await seen(engine)).held_by(reader.name)
    assert not contact.is_in_hand
    assert await offered(web_engine, settings, other, "2002") is None
    await change(engine, EXPIRE)
    assert await offered(web_engine, settings, other, "2002") == number


async def test_danger_in_a_conversation_waits_for_no_reader(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    reader, other = [await add_consultant(engine, each) for each in ("2001", "2002")]
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, number)
    await receive(web_engine, settings, message("2", thread="a", is_urgent=True))
    waiting = await seen(engine)
    assert (waiting.urgent, waiting.held) == (1, [])
    assert await offered(web_engine, settings, other, "2002") == number


async def test_danger_that_was_read_is_over(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    reader = await add_consultant(engine, "2001")
    [number] = await written(web_engine, settings, "a", is_urgent=True)
    await receive(web_engine, settings, message("2", thread="a", text="Ещё"))
    assert (await seen(engine)).urgent == 1  # nobody has read it yet
    await take(web_engine, settings, reader, number)
    await receive(web_engine, settings, message("3", thread="a", text="Спасибо"))
    [contact] = (await seen(engine)).held_by(reader.name)
    assert (contact.is_urgent, contact.is_in_hand) == (False, False)


@pytest.mark.parametrize("is_read", [False, True])
async def test_who_enters_a_letter_has_it_in_hand(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, *, is_read: bool
) -> None:
    clerk = await add_consultant(engine, "2001")
    [number] = await written(web_engine, settings, "a")
    if is_read:
        await take(web_engine, settings, clerk, number)
    letter = message("2", joins=number, text="Ещё", is_urgent=True)
    await receive(web_engine, settings, letter, clerk, is_own=True)
    held = [(each.number, each.is_in_hand) for each in (await seen(engine)).held_by(clerk.name)]
    assert held == ([(number, True)] if is_read else [])
    assert (await seen(engine)).urgent == (not is_read)  # the first letter is still to be read
    assert await rows(engine, "SELECT owner FROM record") == [(clerk.name,)]


async def test_an_own_letter_takes_nothing_out_of_anothers_hand(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    clerk, other = [await add_consultant(engine, each) for each in ("2001", "2002")]
    [number] = await written(web_engine, settings, "a")
    await take(web_engine, settings, other, number)
    letter = message("2", joins=number, text="Ещё")
    with pytest.raises(Conflict):
        await receive(web_engine, settings, letter, clerk, is_own=True)
    assert await rows(engine, "SELECT count(*) FROM intake_message") == [(1,)]
    [contact] = (await seen(engine)).held
    assert (contact.holder, contact.is_in_hand) == (other.name, True)
    await receive(web_engine, settings, letter, clerk)  # it goes to the other first
    [contact] = (await seen(engine)).held_by(other.name)
    assert not contact.is_in_hand


@pytest.mark.parametrize("is_urgent", [False, True])
@pytest.mark.parametrize("is_read", ["joined", "other"])
async def test_of_joined_contacts_the_unread_stands(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings, is_read: str, is_urgent: bool
) -> None:
    keys, reader = RecordKeys.read(settings), await add_consultant(engine, "2001")
    [read] = await written(web_engine, settings, "a")
    await take(web_engine, settings, reader, read)
    [unread] = await written(web_engine, settings, "b", is_urgent=is_urgent)
    first, second = (read, unread) if is_read == "joined" else (unread, read)
    await manual_intake.merge(web_engine, keys, reader, first, 1, second, "одно и то же")
    waiting = await seen(engine)
    assert (waiting.waiting, waiting.urgent, waiting.held) == (1, is_urgent, [])
    assert await rows(engine, OPEN) == [(False,), (True,)]
    assert await offered(web_engine, settings, reader, "2001") == second


async def test_of_joined_unread_contacts_danger_stands(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    keys, reader = RecordKeys.read(settings), await add_consultant(engine, "2001")
    [urgent] = await written(web_engine, settings, "a", is_urgent=True)
    [calm] = await written(
        web_engine, settings, "b", received_at=datetime.now(UTC) - timedelta(days=1)
    )
    await manual_intake.merge(web_engine, keys, reader, urgent, 1, calm, "одно и то же")
    waiting = await seen(engine)
    assert (waiting.waiting, waiting.urgent) == (1, 1)


async def test_a_merge_waits_for_a_message_to_its_target(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, reader = RecordKeys.read(settings), await add_consultant(engine, "2001")
    merged, target = await written(web_engine, settings, "a", "b")
    await take(web_engine, settings, reader, target)
    await queue.finish(web_engine, reader, target)
    is_stored, goes_on = asyncio.Event(), asyncio.Event()
    audit = records.audit_appeal

    async def pause(*args: Any, **detail: Any) -> None:
        is_stored.set()
        await goes_on.wait()
        await audit(*args, **detail)

    monkeypatch.setattr(service, "audit_appeal", pause)
    later = message("2", thread="b", is_urgent=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(receive(web_engine, settings, later))
        await is_stored.wait()
        by = (web_engine, keys, reader)
        group.create_task(manual_intake.merge(*by, merged, 1, target, "одно и то же"))
        await until(lambda: is_lock_awaited(engine), "the merge waits")
        goes_on.set()
    assert await rows(engine, OPEN) == [(False,), (False,), (True,)]
    assert await offered(web_engine, settings, reader, "2001") == target
    assert (await seen(engine)).waiting == 0


async def test_a_contact_goes_on_in_the_joined_appeal(
    web_engine: AsyncEngine, engine: AsyncEngine, settings: Settings
) -> None:
    keys, reader = RecordKeys.read(settings), await add_consultant(engine, "2001")
    first, second = await written(web_engine, settings, "a", "b")
    await manual_intake.merge(web_engine, keys, reader, first, 1, second, "одно и то же")
    assert (await seen(engine)).waiting == 1
    assert await offered(web_engine, settings, reader, "2001") == second
    await take(web_engine, settings, reader, second)
    [third] = await written(web_engine, settings, "c")
    await queue.finish(web_engine, reader, second)
    await manual_intake.merge(web_engine, keys, reader, third, 1, second, "одно и то же")
    assert await offered(web_engine, settings, reader, "2001") == second


async def test_unread_danger_and_what_is_late_alert_until_read(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
) -> None:
    tools, reader = WorkerResources(settings, worker_engine), await add_consultant(engine, "2001")

    async def alerts() -> list[str]:
        await alert_of_unread(tools, redis, datetime.now(UTC))
        return sorted(str(each).rpartition(":")[0] for each in await redis.hkeys(OPENED))

    [urgent] = await written(web_engine, settings, "a", is_urgent=True)
    queued = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'intake.alert'"
    assert await rows(engine, queued) == [(1,)]  # it alerts at once, whatever becomes of the web
    [late] = await written(
        web_engine, settings, "b", received_at=datetime.now(UTC) - timedelta(hours=2)
    )
    await written(web_engine, settings, "c")
    assert await rows(engine, queued) == [(1,)]
    assert await alerts() == ["written_overdue", f"written_urgent:{urgent}"]
    for number in (urgent, late):
        await take(web_engine, settings, reader, number)
    assert await alerts() == []
    await queue.give_back(web_engine, reader, urgent)  # a new cause
    assert await alerts() == [f"written_urgent:{urgent}"]


async def test_a_flood_of_danger_is_one_alert_beside_the_first(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools, reader = WorkerResources(settings, worker_engine), await add_consultant(engine, "2001")
    monkeypatch.setattr(jobs, "LISTED", 2)

    async def alerts() -> tuple[list[str], list[str]]:
        """Numbers of appeals that have their own, and the subjects of that of all others."""
        await alert_of_unread(tools, redis, datetime.now(UTC))
        opened = [str(each).split(":") for each in await redis.hkeys(OPENED)]
        own = sorted(each[1] for each in opened if each[0] == "written_urgent")
        return own, [each[1] for each in opened if each[0] == "written_urgent_more"]

    numbers = await written(web_engine, settings, *"abcde", is_urgent=True)
    assert await alerts() == (numbers[:2], ["1"])
    await close_alerts(redis, ["written_urgent_more:1"])  # acknowledged
    numbers += await written(web_engine, settings, "f", is_urgent=True)
    assert await alerts() == (numbers[:2], [])
    numbers += await written(web_engine, settings, *"ghijkl", is_urgent=True)
    assert await alerts() == (numbers[:2], ["10"])
    await take(web_engine, settings, reader, numbers.pop(0))
    assert await alerts() == (numbers[:2], ["10"])
    while len(numbers) > 2:
        await take(web_engine, settings, reader, numbers.pop(0))
    assert await alerts() == (numbers, [])


async def test_what_is_late_is_one_alert_of_its_language(
    web_engine: AsyncEngine, worker_engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    tools = WorkerResources(settings, worker_engine)
    late: dict[str, Any] = {"received_at": datetime.now(UTC) - timedelta(hours=2)}

    async def alerts() -> list[str]:
        await alert_of_unread(tools, redis, datetime.now(UTC))
        return sorted(map(str, await redis.hkeys(OPENED)))

    await written(web_engine, settings, "a", "b", **late)
    await written(web_engine, settings, "c", language="kk", **late)
    both = ["written_overdue:kk", "written_overdue:ru"]
    assert await alerts() == both
    await close_alerts(redis, both)  # acknowledged
    assert await alerts() == []
    await written(web_engine, settings, "d", **late)
    assert await alerts() == ["written_overdue:ru"]
