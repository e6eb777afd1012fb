"""What is asked of a conversation is carried out or refused, at whatever moment it is cancelled."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from callcenter.consultants.orders import Order
from callcenter.line.conversation import Conversation
from callcenter.line.happenings import Asked


@pytest.mark.parametrize("steps", range(6))
async def test_what_is_asked_in_the_moment_of_a_cancellation_is_not_lost(steps: int) -> None:
    talk = conversation()
    waiting = asyncio.create_task(talk.next())
    await asyncio.sleep(0)
    giving = asyncio.create_task(talk.take(Order("hold", "self", consultant="201")))
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    asked = await talk.next() if waiting.cancelled() else waiting.result()
    assert isinstance(asked, Asked)
    asked.done({"caller": "aside"})
    assert await giving == {"caller": "aside"}


def conversation() -> Conversation:
    """One in which nobody leaves."""

    async def gone() -> None:
        await asyncio.Event().wait()

    leg = SimpleNamespace(id="caller", gone=gone)
    call = SimpleNamespace(leg=leg, times=SimpleNamespace(spool=Path("spool"), redirect_keys="*14"))
    talker = SimpleNamespace(name="201", leg=leg)
    return Conversation(cast(Any, call), cast(Any, None), cast(Any, talker), {"hold"})
