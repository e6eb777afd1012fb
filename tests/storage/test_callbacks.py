"""Promises in PostgreSQL: one open for each number, each taken care of by one controller."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callbacks import queries, store
from callcenter.telephony.callbacks.rules import CallbackKind, CallbackState, pause_after
from callcenter.telephony.callbacks.store import CLAIM_TIMEOUT, ClaimedCallback
from callcenter.telephony.callbacks.tables import promise
from tests.appeals import opened

NUMBER = "+77010000001"
NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


async def call_of(
    engine: AsyncEngine, *, number: str | None = NUMBER, is_over: bool = True
) -> UUID:
    """An appeal whose call is over, or not yet; without a number, it was withheld."""
    async with unit_of_work(engine) as connection:
        appeal_id = await opened(connection, NOW, number=number)
        if is_over:
            await appeals.close_appeal(
                connection, appeal_id=appeal_id, outcome="callback", ended_at=NOW
            )
    return appeal_id


async def made(
    engine: AsyncEngine,
    *,
    number: str = NUMBER,
    arrived_at: datetime = NOW,
    urgent: bool = False,
    appeal_id: UUID | None = None,
) -> UUID:
    promise_id = uuid4()
    appeal_id = appeal_id or await call_of(engine, number=number)
    request = store.CallbackRequest(
        promise_id=promise_id,
        appeal_id=appeal_id,
        number=number,
        language="kk",
        urgent=urgent,
        arrived_at=arrived_at,
        promised_at=NOW,
    )
    async with unit_of_work(engine) as connection:
        for _ in range(2):  # the journal may write an entry twice
            await store.promise_callback(connection, request)
    return promise_id


async def claimed(
    engine: AsyncEngine, controller: str, now: datetime = NOW, limit: int = 10
) -> list[ClaimedCallback]:
    async with unit_of_work(engine) as connection:
        return await store.claim(connection, controller, now, limit)


async def state_of(engine: AsyncEngine, promise_id: UUID) -> CallbackState:
    async with unit_of_work(engine) as connection:
        row = await connection.execute(select(promise.c.state).where(promise.c.id == promise_id))
        return CallbackState(row.scalar_one())


async def test_callbacks_are_claimed_once_the_longest_waiting_first(
    engine: AsyncEngine,
) -> None:
    late = await made(engine, number="+77010000001", arrived_at=NOW)
    early = await made(engine, number="+77010000002", arrived_at=NOW - MINUTE)
    assert [each.id for each in await claimed(engine, "line-1")] == [early, late]
    assert await claimed(engine, "line-2") == []


async def test_a_dead_controllers_callbacks_are_claimed_once_it_lapses(
    engine: AsyncEngine,
) -> None:
    promise_id = await made(engine)
    await claimed(engine, "line-1")
    assert await claimed(engine, "line-2", NOW + CLAIM_TIMEOUT) == []
    (taken,) = await claimed(engine, "line-2", NOW + CLAIM_TIMEOUT + timedelta(seconds=1))
    assert taken.id == promise_id
    async with unit_of_work(engine) as connection:
        assert await store.renew(connection, "line-1", NOW, [promise_id]) == set()
        assert not await store.attempt(connection, "line-1", promise_id, NOW, MINUTE)


async def test_a_controller_that_begins_again_gives_back_what_it_had(engine: AsyncEngine) -> None:
    await made(engine)
    await claimed(engine, "line-1")
    async with unit_of_work(engine) as connection:
        await store.release(connection, "line-1")
    assert len(await claimed(engine, "line-2")) == 1


async def test_an_attempt_is_counted_first_and_the_next_dated(
    engine: AsyncEngine,
) -> None:
    promise_id = await made(engine)
    await claimed(engine, "line-1")
    async with unit_of_work(engine) as connection:
        assert await store.attempt(connection, "line-1", promise_id, NOW, 5 * MINUTE)
        await store.release(connection, "line-1", [promise_id])
    assert await claimed(engine, "line-2", NOW + 4 * MINUTE) == []
    (again,) = await claimed(engine, "line-2", NOW + 5 * MINUTE)
    assert (again.attempts, again.arrived_at) == (1, NOW)


async def test_nobody_is_called_while_the_requesting_call_goes_on(engine: AsyncEngine) -> None:
    await made(engine, appeal_id=await call_of(engine, is_over=False))
    assert await claimed(engine, "line-1") == []


async def test_a_second_request_takes_over_the_firsts_place(
    engine: AsyncEngine,
) -> None:
    appeal_id = await call_of(engine)
    first = await made(engine, arrived_at=NOW - MINUTE, urgent=True, appeal_id=appeal_id)
    second = await made(engine)
    assert await state_of(engine, first) is CallbackState.REPLACED
    (open_one,) = await claimed(engine, "line-1")
    assert (open_one.id, open_one.arrived_at, open_one.urgent) == (second, NOW - MINUTE, True)
    async with unit_of_work(engine) as connection:
        (event,) = await appeals.events(connection, appeal_id)
    assert event.kind == "callback_replaced"
    assert len(event.detail["appeal"]) == 10


async def test_a_new_request_cancels_the_number_requested_before(
    engine: AsyncEngine,
) -> None:
    """The first may be the telephone that is not safe any more."""
    first = await made(engine, arrived_at=NOW - MINUTE)
    second = await made(engine, number="+77010000002", appeal_id=await call_of(engine))
    others = await made(engine, number="+77010000003")
    assert await state_of(engine, first) is CallbackState.REPLACED
    places = [(each.id, each.arrived_at) for each in await claimed(engine, "line-1")]
    assert places == [(second, NOW - MINUTE), (others, NOW)]


async def test_two_who_withhold_their_numbers_are_two(engine: AsyncEngine) -> None:
    first = await made(engine, number="+77010000004", appeal_id=await call_of(engine, number=None))
    second = await made(engine, number="+77010000005", appeal_id=await call_of(engine, number=None))
    assert await state_of(engine, first) is CallbackState.OPEN
    assert await state_of(engine, second) is CallbackState.OPEN


async def replaced_while_called(engine: AsyncEngine) -> tuple[UUID, UUID, OutboundCallRow]:
    """The promise whose number is being called, the one that replaced it, and that call."""
    appeal_id = await call_of(engine)
    first = await made(engine, appeal_id=appeal_id)
    await claimed(engine, "line-1")
    async with unit_of_work(engine) as connection:
        assert await store.attempt(connection, "line-1", first, NOW, 5 * MINUTE)
        call = await outbound_calls.begin(
            connection,
            appeal_id=appeal_id,
            call_id="callback",
            number=NUMBER,
            consultant_id=None,
            began_at=NOW,
        )
    return first, await made(engine), call


@pytest.mark.parametrize("became", [CallbackState.REACHED, CallbackState.DECLINED])
async def test_who_calls_again_while_being_called_is_not_called_twice(
    engine: AsyncEngine, became: CallbackState
) -> None:
    first, second, _ = await replaced_while_called(engine)
    assert await claimed(engine, "line-2", NOW + 30 * MINUTE) == []
    for _ in range(2):  # the journal may write an entry twice
        async with unit_of_work(engine) as connection:
            await store.end_by_attempt(connection, first, became, NOW + MINUTE)
    assert await state_of(engine, first) is CallbackState.REPLACED
    assert await state_of(engine, second) is became


async def test_a_request_made_while_being_called_waits_the_pause(
    engine: AsyncEngine,
) -> None:
    first, second, call = await replaced_while_called(engine)
    async with unit_of_work(engine) as connection:
        await store.end_by_attempt(connection, first, CallbackState.UNREACHED, NOW + MINUTE)
        await outbound_calls.close(
            connection, call.id, outcome="not_reached", ended_at=NOW + MINUTE
        )
    assert await claimed(engine, "line-2", NOW + 4 * MINUTE) == []
    assert [each.id for each in await claimed(engine, "line-2", NOW + 5 * MINUTE)] == [second]


async def test_a_talk_ends_no_promise_that_was_made_after_it(engine: AsyncEngine) -> None:
    first, second, _ = await replaced_while_called(engine)
    async with unit_of_work(engine) as connection:
        await store.end_by_attempt(connection, first, CallbackState.REACHED, NOW - MINUTE)
    assert await state_of(engine, second) is CallbackState.OPEN


async def test_who_rang_again_and_talked_is_not_called_back(engine: AsyncEngine) -> None:
    promise_id, other = await made(engine), await made(engine, number="+77010000009")
    async with unit_of_work(engine) as connection:
        await store.serve(connection, appeal_id=await call_of(engine), at=NOW)
    assert await state_of(engine, promise_id) is CallbackState.SERVED
    assert await state_of(engine, other) is CallbackState.OPEN


async def message(engine: AsyncEngine, appeal_id: UUID, *, urgent: bool = False) -> UUID:
    recording_id = uuid4()
    async with unit_of_work(engine) as connection:
        for _ in range(2):  # the journal may write an entry twice
            await store.promise_message(
                connection,
                recording_id=recording_id,
                appeal_id=appeal_id,
                language="kk",
                urgent=urgent,
                arrived_at=NOW,
                promised_at=NOW,
            )
    return recording_id


async def test_a_message_stays_due_whatever_talk_happens(
    engine: AsyncEngine,
) -> None:
    appeal_id = await call_of(engine)
    recording_id = await message(engine, appeal_id)
    assert await claimed(engine, "line-1") == []
    async with unit_of_work(engine) as connection:
        await store.serve(connection, appeal_id=appeal_id, at=NOW)
        (listed,) = await queries.list_open(connection)
    assert (listed.id, listed.kind, listed.number) == (recording_id, CallbackKind.MESSAGE, NUMBER)


async def test_an_urgent_message_alerts_at_once_and_others_later(engine: AsyncEngine) -> None:
    urgent = await message(engine, await call_of(engine), urgent=True)
    ordinary = await message(engine, await call_of(engine))

    async def late(at: datetime) -> dict[UUID, bool]:
        async with unit_of_work(engine) as connection:
            return {each.id: each.urgent for each in await store.list_late(connection, at)}

    assert await late(NOW) == {urgent: True}
    assert await late(NOW + 31 * MINUTE) == {urgent: True, ordinary: False}


async def test_a_message_in_which_nothing_was_said_ends(engine: AsyncEngine) -> None:
    recording_id = await message(engine, await call_of(engine))
    async with unit_of_work(engine) as connection:
        assert await store.end(connection, recording_id, CallbackState.EMPTY, NOW)
        assert await queries.list_open(connection) == []


async def test_a_promise_ends_once(engine: AsyncEngine) -> None:
    promise_id = await made(engine)
    async with unit_of_work(engine) as connection:
        assert await store.end(connection, promise_id, CallbackState.REACHED, NOW)
        assert not await store.end(
            connection, promise_id, CallbackState.CLOSED, NOW, by="user:aigul"
        )
    assert await state_of(engine, promise_id) is CallbackState.REACHED
    assert await claimed(engine, "line-1", NOW + 1000 * MINUTE) == []


@given(st.lists(st.floats(1, 86400), max_size=9))
def test_there_is_one_attempt_more_than_there_are_pauses(pauses: list[float]) -> None:
    attempts = [pause_after(attempt, pauses) for attempt in range(1, len(pauses) + 2)]
    assert [each.total_seconds() for each in attempts[:-1] if each] == pytest.approx(pauses)
    assert attempts[-1] is None
