"""Callers who leave a message instead of waiting, on the real switch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from callcenter.platform.storage.engine import unit_of_work
from callcenter.sipphone.audio import loudness
from callcenter.sipphone.call import SipCall
from callcenter.telephony.callbacks.rules import CallbackKind, CallbackState
from callcenter.telephony.callbacks.tables import promise
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CALLER_TONE, CallCenter
from tests.calls.test_callback_requests import forget_promises
from tests.calls.waiting import SEVERAL, times
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECOND = 8000 * 4  # bytes of a raw file of two channels


async def messages(
    call_center: CallCenter, state: CallbackState = CallbackState.OPEN
) -> list[UUID]:
    """The recordings that are messages in this state."""
    async with unit_of_work(call_center.engine) as connection:
        rows = await connection.execute(
            select(promise.c.id).where(
                promise.c.kind == CallbackKind.MESSAGE.value, promise.c.state == state.value
            )
        )
        return list(rows.scalars())


@asynccontextmanager
async def prompted_to_speak(call_center: CallCenter, number: str) -> AsyncIterator[SipCall]:
    """Somebody who calls while nobody is signed in, and is recorded from now on."""
    async with call_center.caller(number) as caller:
        await caller.press("11")
        await call_center.hears(caller, "kk", "callback_offer", SEVERAL)
        await caller.press("4")
        await call_center.hears(caller, "kk", "message_begin", SEVERAL)
        await call_center.hears(caller, "kk", "message_speak", SEVERAL)
        yield caller


async def speaks(call_center: CallCenter, caller: SipCall) -> UUID:
    """Some seconds of a tone that are recorded; returns the message, which is owed already."""
    (recording_id,) = await messages(call_center)
    (file,) = call_center.settings.spool.glob(f"*-{recording_id}.raw")
    caller.send_tone(CALLER_TONE)
    await is_longer(file, size_of(file) + 4 * SECOND)  # more than the prompt and a second
    return recording_id


def size_of(file: Path) -> int:
    return file.stat().st_size


async def is_longer(file: Path, size: int) -> None:
    async def grown() -> bool:
        return size_of(file) > size

    await until(grown, "the message is being recorded")


async def is_the_tone(call_center: CallCenter, number: str, recording_id: UUID) -> None:
    """The one recording of the call is the message, closed, and has the caller's tone left."""
    (recording,) = await call_center.recordings(await call_center.appeal(number))
    assert (recording.id, recording.consultant_id, recording.state) == (
        recording_id,
        None,
        "closed",
    )
    left, right = call_center.recorded(recording)
    assert loudness(left[-12000:-8000], CALLER_TONE) > -30
    assert loudness(right[-12000:-8000], CALLER_TONE) < -40


async def test_a_message_is_requested_before_it_is_recorded(
    call_center: CallCenter,
) -> None:
    number = "+77060000001"
    with times(call_center, key_timeout=5.0):
        async with prompted_to_speak(call_center, number) as caller:
            recording_id = await speaks(call_center, caller)
            await caller.press("7#")
            caller.send_silence()
            await call_center.hears(caller, "kk", "message_ok")
            await caller.ended()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.MESSAGE
    (left,) = [e for e in await call_center.events(appeal) if e.kind == CallEvent.MESSAGE_LEFT]
    assert left.detail == {"how": "key"}
    assert await messages(call_center) == [recording_id]
    await is_the_tone(call_center, number, recording_id)
    await forget_promises(call_center)


async def test_a_hang_up_ends_a_message_and_keeps_it(call_center: CallCenter) -> None:
    number = "+77060000002"
    with times(call_center, key_timeout=5.0):
        async with prompted_to_speak(call_center, number) as caller:
            recording_id = await speaks(call_center, caller)
            await caller.hang_up()
    assert (await call_center.appeal(number)).outcome == Outcome.MESSAGE, await call_center.story(
        number
    )
    assert await messages(call_center) == [recording_id]
    await is_the_tone(call_center, number, recording_id)
    await forget_promises(call_center)


async def test_a_message_ends_at_its_longest(call_center: CallCenter) -> None:
    with times(call_center, key_timeout=5.0, message_limit=2.0):
        async with prompted_to_speak(call_center, "+77060000003") as caller:
            await call_center.hears(caller, "kk", "message_ok")
            await caller.ended()
    assert len(await messages(call_center)) == 1
    await forget_promises(call_center)


async def test_nothing_said_is_no_message_and_the_caller_waits_on(call_center: CallCenter) -> None:
    number = "+77060000004"
    with times(call_center, key_timeout=5.0):
        async with prompted_to_speak(call_center, number) as caller:
            await caller.press("#")
            await call_center.hears(caller, "kk", "message_none")
            await caller.hang_up()
    appeal = await call_center.appeal(number)
    assert appeal.outcome == Outcome.LEFT_WAITING
    assert CallEvent.MESSAGE_EMPTY in await call_center.moments(appeal)
    assert await messages(call_center) == []
    assert len(await messages(call_center, CallbackState.EMPTY)) == 1
    await forget_promises(call_center)
