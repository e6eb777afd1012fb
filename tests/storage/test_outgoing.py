"""Calls that we make, on the real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals import outgoing, store
from callcenter.appeals.outgoing import Outgoing
from callcenter.consultants import store as consultants
from callcenter.dialling.beginning import TooOften, Wanted, begin
from callcenter.dialling.numbers import EMERGENCY, NumberPolicy
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)
NUMBER = "+77012345667"


async def an_appeal(
    connection: AsyncConnection, *, channel: str = "call", at: datetime = NOON
) -> UUID:
    appeal_id = uuid4()
    await store.open_appeal(
        connection,
        appeal_id=appeal_id,
        call_id=None if channel == outgoing.CHANNEL else uuid4().hex,
        channel=channel,
        caller_kind="number",
        caller_number=NUMBER,
        received_at=at,
    )
    return appeal_id


async def a_call(
    connection: AsyncConnection,
    appeal_id: UUID,
    *,
    consultant_id: UUID | None = None,
    number: str = NUMBER,
    at: datetime = NOON,
) -> Outgoing:
    return await outgoing.begin(
        connection,
        appeal_id=appeal_id,
        call_id=uuid4().hex,
        number=number,
        consultant_id=consultant_id,
        began_at=at,
    )


async def a_consultant(connection: AsyncConnection, extension: str = "201") -> UUID:
    new = await consultants.add(
        connection, extension=extension, name="A", languages=["kk"], digest="-"
    )
    return new.id


async def outcome_of(connection: AsyncConnection, appeal_id: UUID) -> str | None:
    rows = await store.newest(connection, before=None, limit=10)
    return next(row.outcome for row in rows if row.id == appeal_id)


async def test_the_moments_of_several_calls_about_one_appeal_never_meet(
    engine: AsyncEngine,
) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id = await an_appeal(connection)

    async def one() -> int:
        async with unit_of_work(engine) as connection:
            return (await a_call(connection, appeal_id)).first_moment

    firsts = await asyncio.gather(*(one() for _ in range(10)))
    assert sorted(firsts) == [outgoing.first_moment(each) for each in range(1, 11)]


async def test_the_outcome_of_a_call_is_that_of_an_appeal_that_began_with_it(
    engine: AsyncEngine,
) -> None:
    async with unit_of_work(engine) as connection:
        ours = await an_appeal(connection, channel=outgoing.CHANNEL)
        theirs = await an_appeal(connection)
        for appeal_id in (ours, theirs):
            call = await a_call(connection, appeal_id)
            assert await outgoing.close(connection, call.id, outcome="talked", ended_at=NOON)
            again = await outgoing.close(connection, call.id, outcome="given_up", ended_at=NOON)
            assert not again
        assert await outcome_of(connection, ours) == "talked"
        assert await outcome_of(connection, theirs) is None  # its caller is on the line
        assert await outgoing.live(connection) == []


async def test_calls_are_counted_by_number_by_consultant_and_from_a_moment_on(
    engine: AsyncEngine,
) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id = await an_appeal(connection)
        aigul = await a_consultant(connection)
        await a_call(connection, appeal_id, consultant_id=aigul)
        await a_call(connection, appeal_id, number="102")
        await a_call(connection, appeal_id, consultant_id=aigul, at=NOON - timedelta(hours=2))
        since = NOON - timedelta(hours=1)
        assert await outgoing.made_since(connection, since) == 2
        assert await outgoing.made_since(connection, since, number="102") == 1
        assert await outgoing.made_since(connection, since, consultant_id=aigul) == 1


async def test_who_counts_first_is_alone_until_the_call_is_noted(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id = await an_appeal(connection)

    async def if_it_is_the_first() -> bool:
        async with unit_of_work(engine) as connection:
            if await outgoing.made_since(connection, NOON - timedelta(hours=1), number=NUMBER):
                return False
            await asyncio.sleep(0)
            await a_call(connection, appeal_id)
            return True

    assert sum(await asyncio.gather(*(if_it_is_the_first() for _ in range(8)))) == 1


async def test_a_live_call_is_found_by_the_leg_that_carries_it(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        call = await a_call(connection, await an_appeal(connection))
        await outgoing.carried_by(connection, call.id, "called-1")
        (live,) = await outgoing.live(connection)
    assert (live.id, live.call_id) == (call.id, "called-1")


@pytest.mark.parametrize(("days", "found"), [(1, True), (31, False)])
async def test_the_newest_appeal_of_a_number_with_a_consultant_is_found(
    engine: AsyncEngine, days: int, found: bool
) -> None:
    async with unit_of_work(engine) as connection:
        aigul, bolat = await a_consultant(connection), await a_consultant(connection, "202")
        await an_appeal(connection, at=NOON - timedelta(days=40))
        for who, ago in ((aigul, days + 2), (aigul, days), (bolat, 0)):
            newest = await an_appeal(connection, at=NOON - timedelta(days=ago))
            await store.set_consultant(connection, appeal_id=newest, consultant_id=who)
            if (who, ago) == (aigul, days):
                wanted = newest
        last = await outgoing.last_about(
            connection, consultant_id=aigul, number=NUMBER, since=NOON - timedelta(days=30)
        )
    assert last == (wanted if found else None)


async def test_emergency_services_are_called_as_often_as_needed_and_nobody_else(
    engine: AsyncEngine,
) -> None:
    limits = Settings(_env_file=None, calls_by_consultant=1)

    async def call(number: str) -> None:
        async with unit_of_work(engine) as connection:
            await begin(
                connection,
                NumberPolicy(),
                limits,
                Wanted(number),
                consultant_id=aigul,
                call_id=uuid4().hex,
            )

    async with unit_of_work(engine) as connection:
        aigul = await a_consultant(connection)
    for number in sorted(EMERGENCY):
        await call(number)
    for number in (NUMBER, "109"):
        with pytest.raises(TooOften):
            await call(number)
