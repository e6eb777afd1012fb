"""Callers who would rather be called back (field complaints 10 to 12), on the real switch."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import delete, select

from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.callbacks.tables import promise
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.waiting import SEVERAL, times
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def open_promises(call_center: CallCenter) -> list[str]:
    async with unit_of_work(call_center.engine) as connection:
        rows = await connection.execute(
            select(promise.c.number).where(promise.c.state == CallbackState.OPEN.value)
        )
        return [str(number) for number in rows.scalars()]


async def forget_promises(call_center: CallCenter) -> None:
    """Owe nobody anything, and wait until the distributor knows."""
    async with unit_of_work(call_center.engine) as connection:
        await connection.execute(delete(promise))

    async def forgotten() -> bool:
        at_work = any(controller.scheduler.claims for controller in call_center.controllers)
        return not at_work and not await call_center.redis.exists("desk:waiting")

    await until(forgotten, "no promise waits at the distributor", SEVERAL)


async def test_the_promise_is_stored_before_the_caller_hears_it(call_center: CallCenter) -> None:
    with times(call_center, key_timeout=5.0):
        await promised_to_own_number(call_center, "+77040000001")
    appeal = await call_center.appeal("+77040000001")
    assert appeal.outcome == Outcome.CALLBACK
    (promised,) = [
        e for e in await call_center.events(appeal) if e.kind == CallEvent.CALLBACK_PROMISED
    ]
    assert promised.detail == {"number": "own"}
    await forget_promises(call_center)


async def promised_to_own_number(
    call_center: CallCenter,
    number: str,
    before_the_end: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Somebody calls while nobody is signed in, and is promised a callback."""
    async with call_center.caller(number) as caller:
        await caller.press("11")
        await call_center.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("2")
        await call_center.hears(caller, "kk", "callback_number")
        assert await open_promises(call_center) == []
        await caller.press("1")
        await call_center.hears(caller, "kk", "callback_ok")
        assert await open_promises(call_center) == [number]
        if before_the_end is None:
            await caller.ended()
        else:
            await before_the_end()


async def test_another_number_is_checked_and_read_back_digit_by_digit(
    call_center: CallCenter,
) -> None:
    with times(call_center, key_timeout=5.0):
        async with call_center.caller("+77040000002") as caller:
            await caller.press("21")
            await call_center.hears(caller, "ru", "callback_offer", SEVERAL)
            await caller.press("2")
            await call_center.hears(caller, "ru", "callback_safe", SEVERAL)
            await caller.press("2")
            await call_center.hears(caller, "ru", "callback_enter")
            await caller.press("0044207#")
            await call_center.hears(caller, "ru", "callback_refused")
            await caller.press("77019876543#")
            await call_center.hears(caller, "ru", "number_9", SEVERAL)
            assert await open_promises(call_center) == []
            await caller.press("1")
            await call_center.hears(caller, "ru", "callback_ok", SEVERAL)
            assert await open_promises(call_center) == ["+77019876543"]
            await caller.ended()
    await forget_promises(call_center)
