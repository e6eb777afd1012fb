"""Callers who leave a message instead of waiting, on the real switch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from callcenter.demo.call import Call
from callcenter.demo.sound import loudness
from callcenter.line.outcomes import Moment, Outcome
from callcenter.promises.states import Kind, State
from callcenter.promises.tables import promise
from callcenter.storage.engine import unit_of_work
from tests.calls.house import CALLER_TONE, House, until
from tests.calls.test_promises import forget_promises
from tests.calls.waiting import SEVERAL, times

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECOND = 8000 * 4  # bytes of a raw file of two channels


async def messages(house: House, state: State = State.OPEN) -> list[UUID]:
    """The recordings that are messages in this state."""
    async with unit_of_work(house.engine) as connection:
        rows = await connection.execute(
            select(promise.c.id).where(
                promise.c.kind == Kind.MESSAGE.value, promise.c.state == state.value
            )
        )
        return list(rows.scalars())


@asynccontextmanager
async def asked_to_speak(house: House, number: str) -> AsyncIterator[Call]:
    """Somebody who calls while nobody is signed in, and is recorded from now on."""
    async with house.caller(number) as caller:
        await caller.press("11")
        await house.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("4")
        await house.hears(caller, "kk", "message_begin", SEVERAL)
        await house.hears(caller, "kk", "message_speak", SEVERAL)
        yield caller


async def speaks(house: House, caller: Call) -> UUID:
    """Some seconds of a tone that are recorded; returns the message, which is owed already."""
    (recording_id,) = await messages(house)
    (file,) = house.settings.spool.glob(f"*-{recording_id}.raw")
    caller.send_tone(CALLER_TONE)
    await is_longer(file, size_of(file) + 4 * SECOND)  # more than the prompt and a second
    return recording_id


def size_of(file: Path) -> int:
    return file.stat().st_size


async def is_longer(file: Path, size: int) -> None:
    async def grown() -> bool:
        return size_of(file) > size

    await until(grown, "the message is being recorded")


async def is_the_tone(house: House, number: str, recording_id: UUID) -> None:
    """The one recording of the call is the message, closed, and has the caller's tone left."""
    (recording,) = await house.recordings(await house.appeal(number))
    assert (recording.id, recording.consultant_id, recording.state) == (
        recording_id,
        None,
        "closed",
    )
    left, right = house.recorded(recording)
    assert loudness(left[-12000:-8000], CALLER_TONE) > -30
    assert loudness(right[-12000:-8000], CALLER_TONE) < -40


async def test_a_message_is_owed_before_it_is_spoken_and_recorded_on_the_callers_side(
    house: House,
) -> None:
    number = "+77060000001"
    with times(house, key_timeout=5.0):
        async with asked_to_speak(house, number) as caller:
            recording_id = await speaks(house, caller)
            await caller.press("7#")
            caller.send_silence()
            await house.hears(caller, "kk", "message_ok")
            await caller.ended()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.MESSAGE
    (left,) = [e for e in await house.events(appeal) if e.kind == Moment.MESSAGE_LEFT]
    assert left.detail == {"how": "key"}
    assert await messages(house) == [recording_id]
    await is_the_tone(house, number, recording_id)
    await forget_promises(house)


async def test_a_hang_up_ends_a_message_and_keeps_it(house: House) -> None:
    number = "+77060000002"
    with times(house, key_timeout=5.0):
        async with asked_to_speak(house, number) as caller:
            recording_id = await speaks(house, caller)
            await caller.hang_up()
    assert (await house.appeal(number)).outcome == Outcome.MESSAGE, await house.story(number)
    assert await messages(house) == [recording_id]
    await is_the_tone(house, number, recording_id)
    await forget_promises(house)


async def test_a_message_ends_at_its_longest(house: House) -> None:
    with times(house, key_timeout=5.0, message_limit=2.0):
        async with asked_to_speak(house, "+77060000003") as caller:
            await house.hears(caller, "kk", "message_ok")
            await caller.ended()
    assert len(await messages(house)) == 1
    await forget_promises(house)


async def test_nothing_said_is_no_message_and_the_caller_waits_on(house: House) -> None:
    number = "+77060000004"
    with times(house, key_timeout=5.0):
        async with asked_to_speak(house, number) as caller:
            await caller.press("#")
            await house.hears(caller, "kk", "message_none")
            await caller.hang_up()
    appeal = await house.appeal(number)
    assert appeal.outcome == Outcome.LEFT_WAITING
    assert Moment.MESSAGE_EMPTY in await house.moments(appeal)
    assert await messages(house) == []
    assert len(await messages(house, State.EMPTY)) == 1
    await forget_promises(house)
