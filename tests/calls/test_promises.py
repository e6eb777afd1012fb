"""Callers who would rather be called back (field complaints 10 to 12), on the real switch."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import delete, select

from callcenter.line.outcomes import Moment, Outcome
from callcenter.promises.states import State
from callcenter.promises.tables import promise
from callcenter.storage.engine import unit_of_work
from tests.calls.house import House, until
from tests.calls.waiting import SEVERAL, times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def open_promises(house: House) -> list[str]:
    async with unit_of_work(house.engine) as connection:
        rows = await connection.execute(
            select(promise.c.number).where(promise.c.state == State.OPEN.value)
        )
        return [str(number) for number in rows.scalars()]


async def forget_promises(house: House) -> None:
    """Owe nobody anything, and wait until the desk knows."""
    async with unit_of_work(house.engine) as connection:
        await connection.execute(delete(promise))

    async def forgotten() -> bool:
        at_work = any(controller.owed._tasks for controller in house.controllers)
        return not at_work and not await house.redis.exists("desk:waiting")

    await until(forgotten, "no promise waits at the desk", SEVERAL)


async def test_the_promise_is_kept_before_the_caller_hears_it(house: House) -> None:
    with times(house, key_timeout=5.0):
        await promised_to_own_number(house, "+77040000001")
    appeal = await house.appeal("+77040000001")
    assert appeal.outcome == Outcome.CALLBACK
    (promised,) = [e for e in await house.events(appeal) if e.kind == Moment.CALLBACK_PROMISED]
    assert promised.detail == {"number": "own"}
    await forget_promises(house)


async def promised_to_own_number(
    house: House, number: str, before_the_end: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Somebody calls while nobody is signed in, and is promised a callback."""
    async with house.caller(number) as caller:
        await caller.press("11")
        await house.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("2")
        await house.hears(caller, "kk", "callback_number")
        await house.hears(caller, "kk", "callback_safe", SEVERAL)
        assert await open_promises(house) == []
        await caller.press("1")
        await house.hears(caller, "kk", "callback_ok")
        assert await open_promises(house) == [number]
        if before_the_end is None:
            await caller.ended()
        else:
            await before_the_end()


async def test_another_number_is_checked_and_read_back_digit_by_digit(house: House) -> None:
    with times(house, key_timeout=5.0):
        async with house.caller("+77040000002") as caller:
            await caller.press("21")
            await house.hears(caller, "ru", "callback_offer", SEVERAL)
            await caller.press("2")
            await house.hears(caller, "ru", "callback_safe", SEVERAL)
            await caller.press("2")
            await house.hears(caller, "ru", "callback_enter")
            await caller.press("0044207#")
            await house.hears(caller, "ru", "callback_refused")
            await caller.press("77019876543#")
            await house.hears(caller, "ru", "number_9", SEVERAL)
            assert await open_promises(house) == []
            await caller.press("1")
            await house.hears(caller, "ru", "callback_ok", SEVERAL)
            assert await open_promises(house) == ["+77019876543"]
            await caller.ended()
    await forget_promises(house)
