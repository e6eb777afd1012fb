"""A supervisor who asks for a conversation at the moment of its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from callcenter.consultants.orders import SUPERVISE, Order, OrderRefused, Orders
from callcenter.line.conversation import Conversation
from callcenter.line.ports import NotAnswered
from callcenter.line.supervision import supervised


async def test_no_telephone_is_rung_for_a_conversation_that_is_over() -> None:
    rung = []

    @asynccontextmanager
    async def ring(extension: str, *_: object) -> AsyncIterator[None]:
        rung.append(extension)
        if rung:
            raise NotAnswered("no_answer")
        yield

    call = SimpleNamespace(
        orders=Orders(),
        leg=SimpleNamespace(id="1"),
        switch=SimpleNamespace(ring=ring),
        times=SimpleNamespace(ring_timeout=20.0),
        record=SimpleNamespace(moment=lambda *_, **__: None),
    )
    talk = cast("Conversation", SimpleNamespace(call=call, talker=None))
    detail = {"mode": "listen", "extension": "412", "id": str(uuid4())}
    order = Order(SUPERVISE, "user:head", detail)
    async with supervised(talk):
        assert (await call.orders.give(order))["state"] == "ringing"
        while not rung:
            await asyncio.sleep(0)
        asks_again = asyncio.create_task(call.orders.give(order))  # takes its turn as it ends
    with pytest.raises(OrderRefused):
        await asks_again
    assert rung == ["412"]
