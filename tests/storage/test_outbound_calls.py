"""Calls that we make, on the real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Never, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from callcenter.appeals.calls import outbound_calls, store
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.contact import store as wishes
from callcenter.appeals.contact.rules import ContactMeans, ContactWish
from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisReservation
from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.spool import JournalSpool
from callcenter.telephony.calls.ports import NotAnswered
from callcenter.telephony.controller.dependencies import CallDependencies
from callcenter.telephony.controller.journal_writer import JournalWriter
from callcenter.telephony.controller.outbound_calls import CallFactory, OutboundCalls
from callcenter.telephony.outbound.authorization import (
    CallerStillConnected,
    NoSuchAppeal,
    OutboundRequest,
    TooOften,
    begin,
)
from callcenter.telephony.outbound.rules import EMERGENCY, NumberPolicy
from tests.appeals import newest_outgoing

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)
NUMBER = "+77012345667"


async def an_appeal(
    connection: AsyncConnection, *, channel: str = "call", at: datetime = NOON
) -> UUID:
    appeal_id = uuid4()
    await store.open_appeal(
        connection,
        appeal_id=appeal_id,
        call_id=None if channel == outbound_calls.CHANNEL else uuid4().hex,
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
) -> OutboundCallRow:
    return await outbound_calls.begin(
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


@dataclass
class UnavailableDistributor:
    """A distributor that does not answer, whose roster was read before."""

    consultant: UUID

    def reserve(self, call_id: str, extension: str) -> Never:
        raise OperationFailed(f"nobody reserves {extension} for {call_id}")

    def find_consultant(self, extension: str) -> SimpleNamespace:
        return SimpleNamespace(id=self.consultant, extension=extension)


class NobodyAnswers:
    """A switch whose telephones ring, and nobody is there."""

    @asynccontextmanager
    async def ring(self, extension: str, *_: object) -> AsyncIterator[None]:
        if extension:
            raise NotAnswered("no_answer")
        yield


class ConsultantLeg:
    """The leg of a consultant who stays until hanging up."""

    id, connection_lost = "own", False

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.hung_up = asyncio.Event()

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        yield

    async def play(self, sounds: list[str], *, until_key: bool) -> None:
        self.heard += sounds

    async def wait_hangup(self) -> None:
        await self.hung_up.wait()


class BusyNetwork:
    """A switch and a distributor: numbers are busy, the consultant hangs up at one of them."""

    def __init__(self, hangs_up_at: str = "") -> None:
        self.leg, self.called = ConsultantLeg(), list[str]()
        self._hangs_up_at = hangs_up_at

    @asynccontextmanager
    async def reserve(self, call_id: str, extension: str) -> AsyncIterator[RedisReservation]:
        yield RedisReservation()

    @asynccontextmanager
    async def ring(self, extension: str, *_: object) -> AsyncIterator[ConsultantLeg]:
        yield self.leg

    @asynccontextmanager
    async def call_number(self, number: str, *_: object, beside: object) -> AsyncIterator[None]:
        self.called.append(number)
        if number == self._hangs_up_at:
            self.leg.hung_up.set()
            await asyncio.Event().wait()
        if number:
            raise NotAnswered("busy")
        yield


@asynccontextmanager
async def calling(
    database: AsyncEngine, settings: Settings, spool: Path, **parts: object
) -> AsyncIterator[OutboundCalls]:
    """Outbound calls of a controller with these parts; at the end all is in the database."""
    writer = JournalWriter(database)
    journal = Journal(writer.write, JournalSpool(spool, "line-1", 1 << 20))
    dependencies = SimpleNamespace(
        settings=settings,
        callers=SimpleNamespace(number_policy=NumberPolicy()),
        journal=journal,
        prompts=SimpleNamespace(sound=lambda language, prompt: f"{language}/{prompt}"),
        active_calls=SimpleNamespace(end=lambda _: None),
        **parts,
    )
    yield OutboundCalls(cast(CallDependencies, dependencies), cast(CallFactory, None))
    running = asyncio.create_task(journal.run())
    await journal.flush()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await writer.close()


async def give(calls: OutboundCalls, order: UUID, said: dict[str, str]) -> str:
    """Give an order for a call, and wait until it is over; returns the id that was answered."""
    begun = asyncio.get_running_loop().create_future()
    await calls.call_requested(CallCommand("call", "user:a", said, "201", str(order)), begun)
    return str(begun.result()["call"])


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
            return (await a_call(connection, appeal_id)).first_seq

    firsts = await asyncio.gather(*(one() for _ in range(10)))
    assert sorted(firsts) == [outbound_calls.first_seq(each) for each in range(1, 11)]


async def test_an_outcome_belongs_to_the_appeal_that_it_began(
    engine: AsyncEngine,
) -> None:
    async with unit_of_work(engine) as connection:
        ours = await an_appeal(connection, channel=outbound_calls.CHANNEL)
        theirs = await an_appeal(connection)
        for appeal_id in (ours, theirs):
            call = await a_call(connection, appeal_id)
            assert await outbound_calls.close(connection, call.id, outcome="talked", ended_at=NOON)
            again = await outbound_calls.close(
                connection, call.id, outcome="given_up", ended_at=NOON
            )
            assert not again
        assert await outcome_of(connection, ours) == "talked"
        assert await outcome_of(connection, theirs) is None  # its caller is on the line
        assert await outbound_calls.live(connection) == []


async def test_calls_are_counted_by_number_consultant_and_time(
    engine: AsyncEngine,
) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id = await an_appeal(connection)
        aigul = await a_consultant(connection)
        await a_call(connection, appeal_id, consultant_id=aigul)
        await a_call(connection, appeal_id, number="102")
        await a_call(connection, appeal_id, consultant_id=aigul, at=NOON - timedelta(hours=2))
        since = NOON - timedelta(hours=1)
        assert await outbound_calls.count_since(connection, since) == 2
        assert await outbound_calls.count_since(connection, since, number="102") == 1
        assert await outbound_calls.count_since(connection, since, consultant_id=aigul) == 1


async def test_who_counts_first_is_alone_until_the_call_is_noted(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id = await an_appeal(connection)

    async def if_it_is_the_first() -> bool:
        async with unit_of_work(engine) as connection:
            if await outbound_calls.count_since(
                connection, NOON - timedelta(hours=1), number=NUMBER
            ):
                return False
            await asyncio.sleep(0)
            await a_call(connection, appeal_id)
            return True

    assert sum(await asyncio.gather(*(if_it_is_the_first() for _ in range(8)))) == 1


async def test_a_live_call_is_found_by_its_carrying_leg(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        call = await a_call(connection, await an_appeal(connection))
        await outbound_calls.set_leg(connection, call.id, "called-1")
        (live,) = await outbound_calls.live(connection)
    assert (live.id, live.call_id) == (call.id, "called-1")


@pytest.mark.parametrize(("days", "found"), [(1, True), (31, False)])
async def test_a_numbers_newest_appeal_with_consultant_is_found(
    engine: AsyncEngine, days: int, found: bool
) -> None:
    async with unit_of_work(engine) as connection:
        aigul, bolat = await a_consultant(connection), await a_consultant(connection, "202")
        await an_appeal(connection, at=NOON - timedelta(days=40))
        for who, ago in ((aigul, days + 2), (aigul, days), (bolat, 0)):
            newest = await an_appeal(connection, at=NOON - timedelta(days=ago))
            await store.set_consultant(connection, appeal_id=newest, consultant_id=who)
            if (who, ago) == (aigul, days):
                expected = newest
        last = await outbound_calls.find_last_appeal(
            connection, consultant_id=aigul, number=NUMBER, since=NOON - timedelta(days=30)
        )
    assert last == (expected if found else None)


async def test_an_order_begins_one_call_at_any_controller(engine: AsyncEngine) -> None:
    order, limits = OutboundRequest(NUMBER, id=uuid4()), Settings(_env_file=None)

    async def begin_by(controller: str) -> UUID:
        async with unit_of_work(engine) as connection:
            begun = await begin(
                connection, NumberPolicy(), limits, order, consultant_id=aigul, call_id=controller
            )
        return begun.call.id

    async with unit_of_work(engine) as connection:
        aigul = await a_consultant(connection)
    assert await begin_by("outgoing-1") == order.id
    with pytest.raises(IntegrityError):
        await begin_by("outgoing-2")


async def test_emergency_services_alone_have_no_limit_of_calls(
    engine: AsyncEngine,
) -> None:
    limits = Settings(_env_file=None, calls_by_consultant=1)

    async def call(number: str) -> None:
        async with unit_of_work(engine) as connection:
            await begin(
                connection,
                NumberPolicy(),
                limits,
                OutboundRequest(number),
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


async def test_a_call_stands_on_the_appeal_that_its_order_names(engine: AsyncEngine) -> None:
    """By its id: a newer appeal of the same number with the same consultant is another matter."""
    async with unit_of_work(engine) as connection:
        aigul = await a_consultant(connection)
        older = await an_appeal(connection, at=NOON - timedelta(days=60))
        newer = await an_appeal(connection, at=NOON)
        for each in (older, newer):
            await store.set_consultant(connection, appeal_id=each, consultant_id=aigul)
            await store.close_appeal(connection, appeal_id=each, outcome="talked", ended_at=NOON)

    async def called(number: str | None, appeal_id: UUID) -> UUID:
        async with unit_of_work(engine) as connection:
            begun = await begin(
                connection,
                NumberPolicy(),
                Settings(_env_file=None),
                OutboundRequest(number, appeal_id),
                consultant_id=aigul,
                call_id=uuid4().hex,
            )
        return begun.call.appeal_id

    assert await called(NUMBER, older) == older
    assert await called(None, older) == older
    assert await called("+77019999999", older) == older
    assert await called("109", older) == older
    with pytest.raises(NoSuchAppeal):
        await called(NUMBER, uuid4())


async def test_who_is_on_the_line_is_not_called(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        aigul, appeal_id = await a_consultant(connection), await an_appeal(connection)
    for number in (None, NUMBER):
        with pytest.raises(CallerStillConnected):
            async with unit_of_work(engine) as connection:
                await begin(
                    connection,
                    NumberPolicy(),
                    Settings(_env_file=None),
                    OutboundRequest(number, appeal_id),
                    consultant_id=aigul,
                    call_id=uuid4().hex,
                )


async def test_an_emergency_call_during_an_outage_stays_with_its_appeal(
    engine: AsyncEngine, settings: Settings, tmp_path: Path
) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id, consultant = await an_appeal(connection), await a_consultant(connection)
        earlier = await a_call(connection, appeal_id)
    unreachable = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    order = uuid4()
    said = {"extension": "201", "number": "112", "appeal_id": str(appeal_id), "appeal": "-"}
    async with calling(
        engine,
        settings,
        tmp_path,
        distributor=UnavailableDistributor(consultant),
        engine=unreachable,
        switch=NobodyAnswers(),
    ) as calls:
        assert await give(calls, order, said) == str(order)
    await unreachable.dispose()
    async with unit_of_work(engine) as connection:
        call = await newest_outgoing(connection, "112")
        assert call is not None
        assert (call.id, call.appeal_id, call.outcome) == (order, appeal_id, "given_up")
        assert [row.id for row in await store.newest(connection, before=None, limit=9)] == [
            appeal_id
        ]
        moments = [each.kind for each in await store.events(connection, appeal_id)]
        assert moments == ["calling", "unanswered", "ended"]
        after = await a_call(connection, appeal_id)
    assert (earlier.ordinal, after.ordinal) == (1, 2)


@pytest.mark.parametrize(
    ("hangs_up_at", "outcomes", "heard"),
    [
        ("", {"+77172710001": "not_reached", "102": "not_reached", NUMBER: "not_reached"}, True),
        ("102", {"+77172710001": "not_reached", "102": "given_up"}, False),
    ],
)
async def test_the_next_number_is_called_until_somebody_hangs_up(
    engine: AsyncEngine,
    settings: Settings,
    tmp_path: Path,
    hangs_up_at: str,
    outcomes: dict[str, str],
    heard: bool,
) -> None:
    async with unit_of_work(engine) as connection:
        appeal_id = await an_appeal(connection, at=NOON - timedelta(days=60))
        await store.close_appeal(connection, appeal_id=appeal_id, outcome="talked", ended_at=NOON)
        await a_consultant(connection)
        wish = ContactWish("", "+77172710001", ContactMeans.CALL, False, NOON)  # anybody may say so
        await wishes.add(connection, appeal_id, [wish])
    settings = settings.model_copy(update={"calls_by_consultant": 1, "calls_to_number": 1})
    # What the line does not call is passed over, wherever it stands.
    said = {"extension": "201", "number": "00", "others": f"+77172710001 102 00 {NUMBER} 00"}
    said["urgent"] = "yes"
    switch, order = BusyNetwork(hangs_up_at), uuid4()
    async with calling(
        engine, settings, tmp_path, distributor=switch, engine=engine, switch=switch
    ) as calls:
        assert await give(calls, order, said | {"appeal_id": str(appeal_id)}) == str(order)
    assert switch.called == list(outcomes)
    # Why nobody was reached is said once, after the last number.
    assert switch.leg.heard == (["kk/called_busy", "ru/called_busy"] if heard else [])
    for number, outcome in outcomes.items():
        async with unit_of_work(engine) as connection:
            call = await newest_outgoing(connection, number)
        assert call is not None
        assert (call.appeal_id, call.outcome) == (appeal_id, outcome)
