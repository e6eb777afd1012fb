import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store
from callcenter.appeals.calls.recent_drops import RecentDrops
from callcenter.appeals.rules import number
from callcenter.consultants import store as consultants
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work, within
from callcenter.platform.storage.notify_listener import NotifyListener

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)


async def open_one(
    connection: AsyncConnection, call_id: str, *, at: datetime = NOON, appeal_id: UUID | None = None
) -> str:
    return await store.open_appeal(
        connection,
        appeal_id=appeal_id or uuid4(),
        call_id=call_id,
        channel="call",
        caller_kind="number",
        caller_number="+77010000000",
        received_at=at,
    )


def sequence(given: str) -> int:
    return int(given[2:9])


async def test_twenty_at_once_get_consecutive_numbers(engine: AsyncEngine) -> None:
    async def one(call: int) -> str:
        async with unit_of_work(engine) as connection:
            return await open_one(connection, f"call-{call}")

    given = await asyncio.gather(*(one(call) for call in range(20)))
    assert all(map(number.is_valid, given))
    assert {each[:2] for each in given} == {"26"}
    assert sorted(map(sequence, given)) == list(range(1, 21))


async def test_a_repeated_call_keeps_its_number_and_uses_up_none(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        first = await open_one(connection, "a")
        again = await open_one(connection, "a")
        second = await open_one(connection, "b")
    assert again == first
    assert [sequence(first), sequence(second)] == [1, 2]


async def test_a_call_opened_by_many_has_one_number(engine: AsyncEngine) -> None:
    async def one() -> str:
        async with unit_of_work(engine) as connection:
            given = await open_one(connection, "same")
            await asyncio.sleep(0)
            return given

    given = set(await asyncio.gather(*(one() for _ in range(10))))
    async with unit_of_work(engine) as connection:
        after = await open_one(connection, "other")
    assert len(given) == 1
    assert sequence(after) == 2


async def test_a_number_of_a_rolled_back_opening_is_given_again(engine: AsyncEngine) -> None:
    async def open_and_fail() -> None:
        async with unit_of_work(engine) as connection:
            await open_one(connection, "lost")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await open_and_fail()
    async with unit_of_work(engine) as connection:
        assert sequence(await open_one(connection, "next")) == 1


async def test_the_year_begins_at_midnight_in_almaty(engine: AsyncEngine) -> None:
    midnight = datetime(2026, 12, 31, 19, tzinfo=UTC)  # UTC+5
    async with unit_of_work(engine) as connection:
        old = await open_one(connection, "old", at=midnight - timedelta(seconds=1))
        new = await open_one(connection, "new", at=midnight)
    assert (old[:2], sequence(old)) == ("26", 1)
    assert (new[:2], sequence(new)) == ("27", 1)


async def test_of_two_closers_one_wins(engine: AsyncEngine) -> None:
    appeal_id = uuid4()
    async with unit_of_work(engine) as connection:
        given = await open_one(connection, "a", appeal_id=appeal_id)

    async def close(outcome: str) -> bool:
        async with unit_of_work(engine) as connection:
            return await store.close_appeal(
                connection, appeal_id=appeal_id, outcome=outcome, ended_at=NOON
            )

    outcomes = ["talked", "lost_to_a_fault"]
    won = await asyncio.gather(*map(close, outcomes))
    assert sorted(won) == [False, True]
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, given)
        assert row is not None
        assert row.outcome == outcomes[won.index(True)]
        assert await store.live(connection) == []


async def test_a_batch_may_be_written_twice(engine: AsyncEngine) -> None:
    appeal_id = uuid4()
    moments = [
        store.EventRow(appeal_id, 1, NOON, "received", {}),
        store.EventRow(appeal_id, 2, NOON + timedelta(milliseconds=1), "menu", {"choice": "1"}),
    ]
    for _ in range(2):
        async with unit_of_work(engine) as connection:
            await open_one(connection, "a", appeal_id=appeal_id)
            await store.add_events(connection, moments)
            await store.set_language(connection, appeal_id=appeal_id, language="ru")
            await store.close_appeal(
                connection, appeal_id=appeal_id, outcome="talked", ended_at=NOON
            )
    async with unit_of_work(engine) as connection:
        assert await store.events(connection, appeal_id) == moments
        assert len(await store.newest(connection, before=None, limit=10)) == 1


async def test_an_empty_batch_of_moments_is_nothing(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await store.add_events(connection, [])
        assert (await connection.execute(text("SELECT count(*) FROM appeal_event"))).scalar() == 0


async def test_two_simultaneous_events_each_keep_a_seq(engine: AsyncEngine) -> None:
    appeal_id = uuid4()

    async def add(connection: AsyncConnection, kind: str) -> None:
        await store.append_event(connection, appeal_id=appeal_id, at=NOON, kind=kind, detail={})

    async def second() -> None:
        async with unit_of_work(engine) as connection:
            await add(connection, "second")

    async with unit_of_work(engine) as connection:
        await open_one(connection, "a", appeal_id=appeal_id)
    async with unit_of_work(engine) as connection:
        await add(connection, "first")
        waiting = asyncio.create_task(second())
        await until_somebody_waits(engine)
    await waiting
    async with unit_of_work(engine) as connection:
        kinds = [event.kind for event in await store.events(connection, appeal_id)]
    assert kinds == ["first", "second"]


async def until_somebody_waits(engine: AsyncEngine) -> None:
    """Return when a connection to this database waits for a lock of another one."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), engine.connect() as connection:
        while not (await connection.execute(query)).scalar_one():
            await connection.rollback()
            await asyncio.sleep(0.02)


async def test_an_event_added_during_a_call_has_another_seq(
    engine: AsyncEngine,
) -> None:
    appeal_id = uuid4()
    own = [store.EventRow(appeal_id, seq, NOON, f"own {seq}", {}) for seq in (1, 2, 3)]
    async with unit_of_work(engine) as connection:
        await open_one(connection, "a", appeal_id=appeal_id)
        await store.add_events(connection, own[:2])
        await store.append_event(
            connection, appeal_id=appeal_id, at=NOON, kind="callback_replaced", detail={}
        )
        await store.add_events(connection, own[2:])
        kinds = [event.kind for event in await store.events(connection, appeal_id)]
    assert kinds == ["own 1", "own 2", "own 3", "callback_replaced"]


async def test_live_appeals_are_listed_oldest_first(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await open_one(connection, "young", at=NOON + timedelta(seconds=1))
        await open_one(connection, "old")
        assert [row.call_id for row in await store.live(connection)] == ["old", "young"]


async def test_an_appeal_is_found_with_who_talked(engine: AsyncEngine) -> None:
    appeal_id = uuid4()
    async with unit_of_work(engine) as connection:
        aigul = await consultants.add(
            connection, extension="101", name="Айгүл", languages=["kk"], digest="0" * 32
        )
        given = await open_one(connection, "a", appeal_id=appeal_id)
        await store.set_consultant(connection, appeal_id=appeal_id, consultant_id=aigul.id)
        row = await store.find(connection, given)
    assert row is not None
    assert (row.consultant_name, row.consultant_extension) == ("Айгүл", "101")
    assert (row.number, row.channel, row.caller_number) == (given, "call", "+77010000000")
    assert (row.received_at, row.ended_at, row.outcome) == (NOON, None, None)


async def test_a_number_never_given_finds_nothing(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        assert await store.find(connection, "2600000014") is None


async def test_pages_of_the_register_hold_each_appeal_once(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        for call in range(7):  # three share one instant: the id settles their order
            await open_one(connection, f"{call}", at=NOON + timedelta(seconds=max(0, call - 2)))
        seen: list[store.AppealRow] = []
        while page := await store.newest(
            connection, before=(seen[-1].received_at, seen[-1].id) if seen else None, limit=2
        ):
            seen.extend(page)
    assert sorted(row.call_id or "" for row in seen) == [f"{call}" for call in range(7)]
    assert [row.received_at for row in seen] == sorted(
        (row.received_at for row in seen), reverse=True
    )


async def test_an_unknown_language_is_refused(engine: AsyncEngine) -> None:
    appeal_id = uuid4()
    async with unit_of_work(engine) as connection:
        await open_one(connection, "a", appeal_id=appeal_id)
        with pytest.raises(IntegrityError, match="ck_appeal_language"):
            await store.set_language(connection, appeal_id=appeal_id, language="en")


async def test_only_a_recent_loss_of_the_number_counts(
    settings: Settings, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    lost = "lost_to_a_fault"
    calls = [
        ("+77010000001", lost, 10),
        ("+77010000002", lost, 40),
        ("+77010000003", "talked", 10),
        ("+77010000004", lost, 31),
    ]
    async with unit_of_work(engine) as connection:
        for caller, outcome, minutes in calls:
            at, appeal_id = now - timedelta(minutes=minutes), uuid4()
            await store.open_appeal(
                connection,
                appeal_id=appeal_id,
                call_id=str(appeal_id),
                channel="call",
                caller_kind="number",
                caller_number=caller,
                received_at=at - timedelta(hours=1),
            )
            await store.close_appeal(connection, appeal_id=appeal_id, outcome=outcome, ended_at=at)
    losses = RecentDrops(engine, NotifyListener(settings))
    reading = asyncio.create_task(losses.run())
    first = parse_caller_id(calls[0][0])
    async with asyncio.timeout(10):
        while not losses.contains(first):
            await asyncio.sleep(0.01)
    assert [losses.contains(parse_caller_id(caller)) for caller, _, _ in calls] == [
        *(True, False, False, False)
    ]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_our_own_loss_counts_unless_the_number_is_withheld(
    settings: Settings, engine: AsyncEngine
) -> None:
    losses = RecentDrops(engine, NotifyListener(settings))
    existing, withheld = parse_caller_id("+77010000001"), parse_caller_id("anonymous")
    for caller in (existing, withheld):
        losses.add(caller)
    assert losses.contains(existing)
    assert not losses.contains(withheld)
    assert not losses.contains(parse_caller_id("+77010000002"))


async def test_a_returning_caller_is_recognized_with_the_consultant(
    settings: Settings, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    calls: list[tuple[str, str, list[str], int, str | None]] = [
        ("+77010000001", "talked", ["danger"], 30, None),
        ("+77010000001", "left_waiting", ["danger"], 5, None),  # nobody had this one
        ("+77010000002", "lost_to_a_fault", [], 30, None),
        ("+77010000003", "talked", [], 30, None),
        ("+77010000004", "talked", ["silent"], 61, None),
        ("+77010000005", "talked", [], 30, "in_work"),
        ("+77010000006", "talked", ["danger"], 30, "closed"),
        ("+77010000007", "talked", [], 30, "joined"),  # to the one that is in work
        ("+77010000008", "talked", [], 30, None),  # the network cut this caller off
    ]
    ids = {number: uuid4() for number in range(len(calls))}
    async with unit_of_work(engine) as connection:
        had = await consultants.add(
            connection, extension="201", name="A", languages=["kk"], digest="0" * 32
        )
        for number, (caller, outcome, urgent, minutes, stage) in enumerate(calls):
            at, appeal_id = now - timedelta(minutes=minutes), ids[number]
            await open_one(connection, f"c-{number}", appeal_id=appeal_id)
            await connection.exec_driver_sql(
                "UPDATE appeal SET caller_number = %s, caller_kind = 'number', received_at = %s"
                " WHERE id = %s",
                (caller, at - timedelta(minutes=5), appeal_id),
            )
            if stage is not None:
                await connection.exec_driver_sql(
                    "INSERT INTO record (appeal_id, version, stage, content, changed_at, joined_to)"
                    " VALUES (%s, 1, %s, '{}', now(), %s)",
                    (appeal_id, stage, ids[5] if stage == "joined" else None),
                )
            settled = store.AppealUpdate(appeal_id, urgent=urgent)
            await store.change_appeals(within(connection), [settled])
            if outcome != "left_waiting":
                await store.set_consultant(connection, appeal_id=appeal_id, consultant_id=had.id)
            await store.close_appeal(connection, appeal_id=appeal_id, outcome=outcome, ended_at=at)
        await connection.exec_driver_sql(
            "INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)"
            " VALUES (%s, 9, now(), 'caller_lost', '{}')",
            (ids[8],),
        )
    losses = RecentDrops(engine, NotifyListener(settings), timedelta(hours=1))
    reading = asyncio.create_task(losses.run())
    async with asyncio.timeout(10):
        while losses.preferred_consultant(parse_caller_id(calls[0][0])) is None:
            await asyncio.sleep(0.01)
    assert [losses.preferred_consultant(parse_caller_id(caller)) for caller, *_ in calls] == [
        *("201", "201", "201", None, None, "201", None, "201", "201")
    ]
    assert losses.preferred_consultant(parse_caller_id("anonymous")) is None
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
