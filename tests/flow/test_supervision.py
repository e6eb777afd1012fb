"""Supervision that starts while a conversation ends, and telephones of supervisors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from callcenter.telephony.acd.rules.call_commands import (
    SUPERVISE,
    CallCommand,
    CommandRefused,
    CommandRouter,
)
from callcenter.telephony.calls.conversation.conversation import Conversation
from callcenter.telephony.calls.conversation.supervision import allow_supervision
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.calls.ports import NotAnswered
from tests.flow.telephone_deaths import Telephone
from tests.polling import until


async def test_a_redirected_order_opens_no_other_consultants_call() -> None:
    call = SimpleNamespace(commands=CommandRouter())
    consultant = SimpleNamespace(name="201")
    talk = cast("Conversation", SimpleNamespace(call=call, consultant=consultant, third_party=None))
    detail = {"mode": "listen", "extension": "412", "id": str(uuid4())}
    async with allow_supervision(talk):
        with pytest.raises(CommandRefused, match="another consultant has the call"):
            await call.commands.dispatch(CallCommand(SUPERVISE, "user:head", detail, "203"))


async def test_no_telephone_is_rung_for_a_conversation_that_is_over() -> None:
    rung = []

    @asynccontextmanager
    async def ring(extension: str, *_: object) -> AsyncIterator[None]:
        rung.append(extension)
        if rung:
            raise NotAnswered("no_answer")
        yield

    call = SimpleNamespace(
        commands=CommandRouter(),
        leg=SimpleNamespace(id="1"),
        switch=SimpleNamespace(ring=ring),
        times=SimpleNamespace(ring_timeout=20.0),
        record=SimpleNamespace(add_event=lambda *_, **__: None),
    )
    consultant = SimpleNamespace(name="201")
    talk = cast("Conversation", SimpleNamespace(call=call, consultant=consultant, third_party=None))
    detail = {"mode": "listen", "extension": "412", "id": str(uuid4())}
    order = CallCommand(SUPERVISE, "user:head", detail, "201")
    async with allow_supervision(talk):
        assert (await call.commands.dispatch(order))["state"] == "ringing"
        while not rung:
            await asyncio.sleep(0)
        asks_again = asyncio.create_task(call.commands.dispatch(order))  # takes its turn as it ends
    with pytest.raises(CommandRefused):
        await asks_again
    assert rung == ["412"]


def test_a_channel_remembers_that_its_telephone_holds() -> None:
    channel = Telephone().channel
    for event, is_held in (("ChannelHold", True), ("ChannelUnhold", False)):
        channel.handle({"type": event})
        assert channel.is_held is is_held


async def test_a_supervisor_gone_before_hearing_is_recorded_once() -> None:
    """The switch refuses a leg a moment before it tells that it has hung up."""
    ended: list[dict[str, str]] = []

    @asynccontextmanager
    async def ring(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(wait_hangup=asyncio.Event().wait)

    @asynccontextmanager
    async def snoop(*_: object, whispering: bool) -> AsyncIterator[None]:
        if not whispering:
            raise NotAnswered("left")
        yield

    def record(event: CallEvent, **detail: str) -> None:
        assert event is CallEvent.SUPERVISION_ENDED
        ended.append(detail)

    call = SimpleNamespace(
        commands=CommandRouter(),
        leg=SimpleNamespace(id="1"),
        switch=SimpleNamespace(ring=ring, snoop=snoop),
        times=SimpleNamespace(ring_timeout=20.0),
        record=SimpleNamespace(add_event=record),
    )
    consultant = SimpleNamespace(name="201", leg=SimpleNamespace())
    talk = cast("Conversation", SimpleNamespace(call=call, consultant=consultant, third_party=None))
    detail = {"mode": "listen", "extension": "412", "id": str(uuid4())}
    async with allow_supervision(talk):
        await call.commands.dispatch(CallCommand(SUPERVISE, "user:head", detail, "201"))
        await until(lambda: ended, "the supervision has ended")
    assert ended == [{"supervisor": "412"}]
