"""Calling back as promised, on the real switch (field complaints 10 to 12, "Callback safety")."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from callcenter.abuse import store as blocks
from callcenter.abuse.blocks import Reason
from callcenter.appeals import store as appeals
from callcenter.appeals.tables import outgoing_call
from callcenter.consultants.states import State as Doing
from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.line.outcomes import Moment, Outcome
from callcenter.promises import store
from callcenter.promises.states import State
from callcenter.promises.tables import promise
from callcenter.storage.engine import unit_of_work
from tests.appeals import opened
from tests.calls.fragile import both_hear
from tests.calls.house import House, until
from tests.calls.test_promises import forget_promises
from tests.calls.waiting import SEVERAL, times

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROCESS = 40.0  # seconds in which a claim of a dead process has ended and another goes on


async def owe(house: House, number: str, *, arrived: float | None = None) -> UUID:
    """A promise to call this number back, made in a call that is over."""
    promise_id, now = uuid4(), datetime.now(UTC)
    async with unit_of_work(house.engine) as connection:
        appeal_id = await opened(connection, now, number=number)
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome=Outcome.CALLBACK, ended_at=now
        )
        await store.promise_callback(
            connection,
            promise_id=promise_id,
            appeal_id=appeal_id,
            number=number,
            language="ru",
            urgent=False,
            arrived_at=datetime.fromtimestamp(arrived or time.time(), UTC),
            promised_at=now,
        )
    return promise_id


async def became(house: House, promise_id: UUID, wanted: State, limit: float = SEVERAL) -> None:
    async def ended() -> bool:
        async with unit_of_work(house.engine) as connection:
            rows = await connection.execute(
                select(promise.c.state).where(promise.c.id == promise_id)
            )
        return State(rows.scalar_one()) is wanted

    await until(ended, f"the promise is {wanted}", limit)


async def attempts(house: House, number: str) -> list[str | None]:
    """What became of each call to this number."""
    async with unit_of_work(house.engine) as connection:
        query = select(outgoing_call.c.outcome).where(outgoing_call.c.number == number)
        return list((await connection.execute(query)).scalars())


async def at_the_desk(house: House, promise_id: UUID) -> None:
    async def waits() -> bool:
        return await house.redis.zscore("desk:waiting", f"callback-{promise_id}") is not None

    await until(waits, "the promise waits at the desk")


@asynccontextmanager
async def picked_up(network: Phone, house: House) -> AsyncIterator[Call]:
    """The applicant's telephone, answered, when the words are heard that name nobody."""
    call = await network.next_call(PROCESS)
    await call.answer()
    call.send_silence()
    await house.hears(call, "ru", "callback_neutral")
    yield call


async def talk(house: House, network: Phone, consultant: Phone) -> None:
    """The whole callback, as it should be."""
    async with picked_up(network, house) as applicant:
        assert applicant.invite is not None
        assert f"<sip:{house.settings.shown_number}@" in applicant.invite.need("From")
        await applicant.press("1")
        await house.hears(applicant, "ru", "recording_notice")
        leg = await consultant.next_call(SEVERAL)
        assert leg.invite is not None
        assert "111 ru CALLBACK" in leg.invite.need("From")
        await leg.answer()
        await both_hear(applicant, leg)
        await leg.hang_up()
        await applicant.ended()


async def test_the_applicant_is_called_and_talks_with_a_consultant_recorded_with_notice(
    house: House,
) -> None:
    number = "+77050000001"
    promise_id = await owe(house, number)
    async with house.network(number) as network, house.softphone("201") as consultant:
        await consultant.register()
        await talk(house, network, consultant)
    await became(house, promise_id, State.KEPT)
    appeal = await house.appeal(number)
    await until(lambda: closed(house, number), "the call has an outcome")
    assert await attempts(house, number) == [Outcome.TALKED]
    moments = await house.moments(appeal)
    expected = [
        Moment.CALLBACK_CALLING,
        Moment.REACHED,
        Moment.CALLBACK_CONFIRMED,
        Moment.NOTICE,
        Moment.WAITING,
        Moment.RINGING,
        Moment.CONNECTED,
        Moment.RECORDING_STARTED,
        Moment.RECORDING_STOPPED,
        Moment.ENDED,
    ]
    assert [each for each in moments if each in expected] == expected
    assert len(await house.recordings(appeal)) == 1


async def closed(house: House, number: str) -> bool:
    return None not in await attempts(house, number)


async def test_who_asks_again_while_the_telephone_rings_is_not_called_twice(house: House) -> None:
    number = "+77050000011"
    first = await owe(house, number)
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        applicant = await network.next_call(PROCESS)
        second = await owe(house, number)
        await applicant.answer()
        applicant.send_silence()
        await house.hears(applicant, "ru", "callback_neutral")
        await applicant.press("1")
        leg = await consultant.next_call(SEVERAL)
        await leg.answer()
        await both_hear(applicant, leg)
        await became(house, second, State.KEPT)
        await leg.hang_up()
        await applicant.ended()
    await became(house, first, State.REPLACED)
    await until(lambda: closed(house, number), "the call has an outcome")
    assert await attempts(house, number) == [Outcome.TALKED]


async def test_whoever_picks_up_and_says_no_learns_nothing_and_nobody_calls_again(
    house: House,
) -> None:
    number = "+77050000002"
    promise_id = await owe(house, number)
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        async with picked_up(network, house) as somebody:
            await somebody.press("2")
            await somebody.ended()
        await became(house, promise_id, State.DECLINED)
        assert not await rings(house, number)
        for language in ("kk", "ru"):
            for prompt in ("lang_choice", "connecting", "goodbye", "recording_notice"):
                assert not house.was_heard(somebody, language, prompt)
    await until(lambda: closed(house, number), "the call has an outcome")
    assert await attempts(house, number) == [Outcome.DECLINED]


async def test_a_machine_that_answers_is_not_talked_to_and_after_the_last_attempt_it_is_said_so(
    house: House,
) -> None:
    number = "+77050000003"
    promise_id = await owe(house, number)
    async with house.network(number) as network, house.softphone("202") as consultant:
        await consultant.register()
        async with picked_up(network, house) as machine:
            await machine.ended()
        await (await network.next_call(PROCESS)).reject(486)
        await became(house, promise_id, State.UNREACHED)
        assert not await rings(house, number)
    await until(lambda: closed(house, number), "the call has an outcome")
    assert await attempts(house, number) == [Outcome.NOT_REACHED] * 2


async def test_a_callback_keeps_its_place_and_never_overtakes(house: House) -> None:
    number = "+77050000004"
    with times(house, patience=60, ask_every=60.0):
        async with (
            house.network(number) as network,
            house.paused_consultant("202") as duty,
            house.caller("+77050000005") as earlier,
        ):
            await earlier.press("21")
            await house.hears(earlier, "ru", "queue_hold")
            promise_id = await owe(house, number)
            await at_the_desk(house, promise_id)
            await duty.ask("202", Doing.READY, by="user:test")
            appeal = await house.live_appeal("+77050000005")
            assert appeal is not None
            await until(lambda: rings(house, "+77050000005"), "the earlier caller is first")
            assert network.calls == []
            await earlier.hang_up()
            somebody = await network.next_call(PROCESS)
            await somebody.reject(603)
    await forget_promises(house)


async def rings(house: House, number: str) -> bool:
    appeal = await house.live_appeal(number)
    return appeal is not None and Moment.RINGING in await house.moments(appeal)


async def test_a_callback_that_is_overdue_alarms_the_supervisors(house: House) -> None:
    await house.redis.delete("desk:alarms")
    promise_id = await owe(house, "+77050000012")
    async with unit_of_work(house.engine) as connection:
        await connection.execute(
            update(promise)
            .where(promise.c.id == promise_id)
            .values(due_at=datetime.now(UTC) - timedelta(minutes=31))
        )

    async def alarmed() -> bool:
        alarms = await house.redis.lrange("desk:alarms", 0, -1)
        return [json.loads(each)["kind"] for each in alarms] == ["callback_overdue"]

    await until(alarmed, "the supervisors are alarmed", SEVERAL)
    await forget_promises(house)


async def test_no_more_are_called_at_once_than_consultants_are_free(house: House) -> None:
    first, second = "+77050000006", "+77050000007"
    async with house.network(first) as network:
        owed = [await owe(house, first), await owe(house, second)]
        for each in owed:
            await at_the_desk(house, each)
        async with house.softphone("202") as consultant:
            await consultant.register()
            call = await network.next_call(SEVERAL)
            await call.answer()
            call.send_silence()
            await house.hears(call, "ru", "callback_neutral")
            # The only consultant is held for this call, so the second promise goes on waiting.
            assert await house.redis.zcard("desk:waiting") == 1
            assert len(network.calls) == 1
            await call.press("2")
            await call.ended()
            await (await network.next_call(SEVERAL)).reject(603)
    await forget_promises(house)


async def test_who_rings_again_and_talks_is_not_called_back(house: House) -> None:
    number = "+77050000008"
    with times(house, patience=60):
        async with house.network(number) as network, house.caller(number) as caller:
            await caller.press("21")
            await house.hears(caller, "ru", "nobody_speaks_ru")
            promise_id = await owe(house, number)
            await at_the_desk(house, promise_id)
            async with house.softphone("202") as consultant:
                await consultant.register()
                leg = await consultant.next_call(SEVERAL)
                await leg.answer()
                await both_hear(caller, leg)
                await leg.hang_up()
                await caller.ended()
                await became(house, promise_id, State.SERVED)
                assert network.calls == []


async def test_a_number_that_was_blocked_meanwhile_is_not_called(house: House) -> None:
    number = "+77050000009"
    async with unit_of_work(house.engine) as connection:
        blocked = await blocks.block(
            connection,
            number=number,
            length=timedelta(hours=1),
            reason=Reason.THREATS,
            author="user:test",
        )

    async def known() -> bool:
        return all(each.known.blocklist.blocks(number) for each in house.controllers)

    await until(known, "all controllers know of the block")
    await became(house, await owe(house, number), State.BLOCKED)
    assert await attempts(house, number) == []
    async with unit_of_work(house.engine) as connection:
        await blocks.lift(connection, blocked.id)
