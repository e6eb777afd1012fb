"""Commands of a conversation are executed or refused, whenever it is cancelled."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from callcenter.telephony.acd.rules.call_commands import CallCommand
from callcenter.telephony.calls.conversation.conversation import Conversation
from callcenter.telephony.calls.conversation.events import CommandRequested


@pytest.mark.parametrize("steps", range(6))
async def test_a_command_at_the_moment_of_cancellation_survives(steps: int) -> None:
    talk = conversation()
    waiting = asyncio.create_task(talk.next())
    await asyncio.sleep(0)
    giving = asyncio.create_task(talk.take(CallCommand("hold", "self", consultant="201")))
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    request = await talk.next() if waiting.cancelled() else waiting.result()
    assert isinstance(request, CommandRequested)
    request.done({"caller": "aside"})
    assert await giving == {"caller": "aside"}


def conversation() -> Conversation:
    """Return a conversation in which nobody hangs up."""

    async def gone() -> None:
        await asyncio.Event().wait()

    leg = SimpleNamespace(id="caller", gone=gone)
    call = SimpleNamespace(leg=leg, times=SimpleNamespace(spool=Path("spool"), redirect_keys="*14"))
    consultant = SimpleNamespace(name="201", leg=leg)
    return Conversation(cast(Any, call), cast(Any, None), cast(Any, consultant), {"hold"})
