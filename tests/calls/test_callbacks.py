"""Calling back as promised, on the real switch (field complaints 10 to 12, "Callback safety")."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import outgoing_call
from callcenter.consultants.rules.states import PresenceState as Doing
from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.phone import Phone
from callcenter.telephony.callbacks import store
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.callbacks.tables import promise
from callcenter.telephony.callers.blocklist import store as blocks
from callcenter.telephony.callers.blocklist.rules import BlockReason
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.appeals import opened
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear
from tests.calls.test_callback_requests import forget_promises
from tests.calls.waiting import SEVERAL, times
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROCESS = 40.0  # seconds in which a claim of a dead process has ended and another goes on


async def owe(call_center: CallCenter, number: str, *, arrived: float | None = None) -> UUID:
    """A promise to call this number back, made in a call that is over."""
    promise_id, now = uuid4(), datetime.now(UTC)
    async with unit_of_work(call_center.engine) as connection:
        appeal_id = await opened(connection, now, number=number)
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome=Outcome.CALLBACK, ended_at=now
        )
        request = store.CallbackRequest(
            promise_id=promise_id,
            appeal_id=appeal_id,
            number=number,
            language="ru",
            urgent=False,
            arrived_at=datetime.fromtimestamp(arrived or time.time(), UTC),
            promised_at=now,
        )
        await store.promise_callback(connection, request)
    return promise_id


async def became(
    call_center: CallCenter, promise_id: UUID, expected: CallbackState, limit: float = SEVERAL
) -> None:
    async def ended() -> bool:
        async with unit_of_work(call_center.engine) as connection:
            rows = await connection.execute(
                select(promise.c.state).where(promise.c.id == promise_id)
            )
        return CallbackState(rows.scalar_one()) is expected

    await until(ended, f"the promise is {expected}", limit)


async def attempts(call_center: CallCenter, number: str) -> list[str | None]:
    """What became of each call to this number."""
    async with unit_of_work(call_center.engine) as connection:
        query = select(outgoing_call.c.outcome).where(outgoing_call.c.number == number)
        return list((await connection.execute(query)).scalars())


async def at_the_distributor(call_center: CallCenter, promise_id: UUID) -> None:
    async def waits() -> bool:
        return await call_center.redis.zscore("desk:waiting", f"callback-{promise_id}") is not None

    await until(waits, "the promise waits at the distributor")


@asynccontextmanager
async def picked_up(network: Phone, call_center: CallCenter) -> AsyncIterator[SipCall]:
    """The applicant's telephone, answered, when the words are heard that name nobody."""
    call = await network.next_call(PROCESS)
    await call.answer()
    call.send_silence()
    await call_center.hears(call, "ru", "callback_neutral")
    yield call


async def talk(call_center: CallCenter, network: Phone, consultant: Phone) -> None:
    """The whole callback, as it should be."""
    async with picked_up(network, call_center) as applicant:
        assert applicant.invite is not None
        assert f"<sip:{call_center.settings.shown_number}@" in applicant.invite.need("From")
        await applicant.press("1")
        await call_center.hears(applicant, "ru", "recording_notice")
        leg = await consultant.next_call(SEVERAL)
        assert leg.invite is not None
        assert "111 ru CALLBACK" in leg.invite.need("From")
        await leg.answer()
        await both_hear(applicant, leg)
        await leg.hang_up()
        await applicant.ended()


async def test_an_applicant_is_called_back_and_recorded_with_notice(
    call_center: CallCenter,
) -> None:
    number = "+77050000001"
    promise_id = await owe(call_center, number)
    async with call_center.network(number) as network, call_center.softphone("201") as consultant:
        await consultant.register()
        await talk(call_center, network, consultant)
    await became(call_center, promise_id, CallbackState.REACHED)
    appeal = await call_center.appeal(number)
    await until(lambda: closed(call_center, number), "the call has an outcome")
    assert await attempts(call_center, number) == [Outcome.TALKED]
    moments = await call_center.moments(appeal)
    expected = [
        CallEvent.CALLBACK_CALLING,
        CallEvent.REACHED,
        CallEvent.CALLBACK_CONFIRMED,
        CallEvent.NOTICE,
        CallEvent.WAITING,
        CallEvent.RINGING,
        CallEvent.CONNECTED,
        CallEvent.RECORDING_STARTED,
        CallEvent.RECORDING_STOPPED,
        CallEvent.ENDED,
    ]
    assert [each for each in moments if each in expected] == expected
    assert len(await call_center.recordings(appeal)) == 1


async def closed(call_center: CallCenter, number: str) -> bool:
    return None not in await attempts(call_center, number)


async def test_a_repeated_request_while_ringing_makes_no_second_call(
    call_center: CallCenter,
) -> None:
    number = "+77050000011"
    first = await owe(call_center, number)
    async with call_center.network(number) as network, call_center.softphone("202") as consultant:
        await consultant.register()
        applicant = await network.next_call(PROCESS)
        second = await owe(call_center, number)
        await applicant.answer()
        applicant.send_silence()
        await call_center.hears(applicant, "ru", "callback_neutral")
        await applicant.press("1")
        leg = await consultant.next_call(SEVERAL)
        await leg.answer()
        await both_hear(applicant, leg)
        await became(call_center, second, CallbackState.REACHED)
        await leg.hang_up()
        await applicant.ended()
    await became(call_center, first, CallbackState.REPLACED)
    await until(lambda: closed(call_center, number), "the call has an outcome")
    assert await attempts(call_center, number) == [Outcome.TALKED]


async def test_a_person_who_says_no_learns_nothing_and_ends_it(
    call_center: CallCenter,
) -> None:
    number = "+77050000002"
    promise_id = await owe(call_center, number)
    async with call_center.network(number) as network, call_center.softphone("202") as consultant:
        await consultant.register()
        async with picked_up(network, call_center) as somebody:
            await somebody.press("2")
            await somebody.ended()
        await became(call_center, promise_id, CallbackState.DECLINED)
        assert not await rings(call_center, number)
        for language in ("kk", "ru"):
            for prompt in ("lang_choice", "connecting", "goodbye", "recording_notice"):
                assert not call_center.was_heard(somebody, language, prompt)
    await until(lambda: closed(call_center, number), "the call has an outcome")
    assert await attempts(call_center, number) == [Outcome.DECLINED]


async def test_a_machine_is_not_talked_to_and_ends_as_unreached(
    call_center: CallCenter,
) -> None:
    number = "+77050000003"
    promise_id = await owe(call_center, number)
    async with call_center.network(number) as network, call_center.softphone("202") as consultant:
        await consultant.register()
        async with picked_up(network, call_center) as machine:
            await machine.ended()
        await (await network.next_call(PROCESS)).reject(486)
        await became(call_center, promise_id, CallbackState.UNREACHED)
        assert not await rings(call_center, number)
    await until(lambda: closed(call_center, number), "the call has an outcome")
    assert await attempts(call_center, number) == [Outcome.NOT_REACHED] * 2


async def test_a_callback_keeps_its_place_and_never_overtakes(call_center: CallCenter) -> None:
    number = "+77050000004"
    with times(call_center, patience=60, ask_every=60.0):
        async with (
            call_center.network(number) as network,
            call_center.paused_consultant("202") as presence,
            call_center.caller("+77050000005") as earlier,
        ):
            await earlier.press("21")
            await call_center.hears(earlier, "ru", "queue_hold")
            promise_id = await owe(call_center, number)
            await at_the_distributor(call_center, promise_id)
            await presence.ask("202", Doing.READY, by="user:test")
            appeal = await call_center.live_appeal("+77050000005")
            assert appeal is not None
            await until(lambda: rings(call_center, "+77050000005"), "the earlier caller is first")
            assert network.calls == []
            await earlier.hang_up()
            somebody = await network.next_call(PROCESS)
            await somebody.reject(603)
    await forget_promises(call_center)


async def rings(call_center: CallCenter, number: str) -> bool:
    appeal = await call_center.live_appeal(number)
    return appeal is not None and CallEvent.RINGING in await call_center.moments(appeal)


async def test_a_callback_that_is_overdue_alerts_the_supervisors(call_center: CallCenter) -> None:
    await call_center.redis.delete("desk:alarms")
    promise_id = await owe(call_center, "+77050000012")
    async with unit_of_work(call_center.engine) as connection:
        await connection.execute(
            update(promise)
            .where(promise.c.id == promise_id)
            .values(due_at=datetime.now(UTC) - timedelta(minutes=31))
        )

    async def alerted() -> bool:
        alerts = await call_center.redis.lrange("desk:alarms", 0, -1)
        return [json.loads(each)["kind"] for each in alerts] == ["callback_overdue"]

    await until(alerted, "the supervisors are alerted", SEVERAL)
    await forget_promises(call_center)


async def test_no_more_are_called_at_once_than_consultants_are_free(
    call_center: CallCenter,
) -> None:
    first, second = "+77050000006", "+77050000007"
    async with call_center.network(first) as network:
        callbacks = [await owe(call_center, first), await owe(call_center, second)]
        for each in callbacks:
            await at_the_distributor(call_center, each)
        async with call_center.softphone("202") as consultant:
            await consultant.register()
            call = await network.next_call(SEVERAL)
            await call.answer()
            call.send_silence()
            await call_center.hears(call, "ru", "callback_neutral")
            # The only consultant is held for this call, so the second promise goes on waiting.
            assert await call_center.redis.zcard("desk:waiting") == 1
            assert len(network.calls) == 1
            await call.press("2")
            await call.ended()
            await (await network.next_call(SEVERAL)).reject(603)
    await forget_promises(call_center)


async def test_who_rings_again_and_talks_is_not_called_back(call_center: CallCenter) -> None:
    number = "+77050000008"
    with times(call_center, patience=60):
        async with call_center.network(number) as network, call_center.caller(number) as caller:
            await caller.press("21")
            await call_center.hears(caller, "ru", "nobody_speaks_ru")
            promise_id = await owe(call_center, number)
            await at_the_distributor(call_center, promise_id)
            async with call_center.softphone("202") as consultant:
                await consultant.register()
                leg = await consultant.next_call(SEVERAL)
                await leg.answer()
                await both_hear(caller, leg)
                await leg.hang_up()
                await caller.ended()
                await became(call_center, promise_id, CallbackState.SERVED)
                assert network.calls == []


async def test_a_number_that_was_blocked_meanwhile_is_not_called(call_center: CallCenter) -> None:
    number = "+77050000009"
    async with unit_of_work(call_center.engine) as connection:
        blocked = await blocks.block(
            connection,
            number=number,
            length=timedelta(hours=1),
            reason=BlockReason.THREATS,
            author="user:test",
        )

    async def is_blocked_everywhere() -> bool:
        return all(each.callers.blocklist.blocks(number) for each in call_center.controllers)

    await until(is_blocked_everywhere, "all controllers know of the block")
    await became(call_center, await owe(call_center, number), CallbackState.BLOCKED)
    assert await attempts(call_center, number) == []
    async with unit_of_work(call_center.engine) as connection:
        await blocks.lift(connection, blocked.id)
