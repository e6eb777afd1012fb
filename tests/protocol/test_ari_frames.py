"""The ARI client against a scripted peer, for frames that Asterisk sends seldom."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from callcenter.telephony.asterisk.ari import (
    Ari,
    AriRequestFailed,
    AriUnavailable,
    ChannelNotFound,
    Event,
)
from tests.polling import until

HTML_404 = "<html><head><title>404 Not Found</title></head></html>"

Script = Callable[[web.WebSocketResponse, Event], Awaitable[None]]


async def answer(
    socket: web.WebSocketResponse, request: Event, status: int = 200, body: str = ""
) -> None:
    message: dict[str, Any] = {
        "type": "RESTResponse",
        "request_id": request["request_id"],
        "status_code": status,
        "reason_phrase": "as scripted",
        "message_body": body,
    }
    await socket.send_str(json.dumps(message))


class Peer:
    """Answers everything with 200 unless `script` takes the request; refuses at first."""

    def __init__(self, script: Script, *, refusals: list[web.Response] | None = None) -> None:
        self.script = script
        self.refusals = refusals or []
        self.events: list[Event] = []
        self.resyncs = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            return self.refusals.pop(0)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                received = json.loads(message.data)
                if received["uri"].startswith("applications/"):
                    await answer(socket, received)
                else:
                    await self.script(socket, received)
        return socket

    async def resync(self) -> None:
        self.resyncs += 1

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Ari]:
        application = web.Application()
        application.router.add_get("/ari/events", self.serve)
        async with TestServer(application, host="127.0.0.1") as server:
            assert server.port is not None
            ari = Ari(
                port=server.port,
                password="secret",
                application="line-1",
                on_event=self.events.append,
                on_connected=self.resync,
            )
            task = asyncio.create_task(ari.run())
            try:
                await until(lambda: self.resyncs, "connected")
                yield ari
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def test_while_asterisk_boots_html_404_and_503_are_waited_out() -> None:
    booting = [
        web.Response(status=404, text=HTML_404, content_type="text/html"),
        web.json_response({"message": "Asterisk not booted"}, status=503),
    ]
    peer = Peer(answer, refusals=booting)
    async with peer.connected():
        assert peer.refusals == []


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, '{"message": "Channel not found"}', ChannelNotFound),
        (404, HTML_404, AriUnavailable),
        (404, "", AriUnavailable),
        (409, '{"message": "Channel not in Stasis application"}', AriRequestFailed),
        (500, '{"error": "Allocation failed"}', AriRequestFailed),
        (503, '{"message": "Asterisk not booted"}', AriUnavailable),
    ],
)
async def test_gone_refused_and_not_there_yet_are_distinguished(
    status: int, body: str, error: type[Exception]
) -> None:
    async def script(socket: web.WebSocketResponse, request: Event) -> None:
        await answer(socket, request, status, body)

    async with Peer(script).connected() as ari:
        with pytest.raises(error) as raised:
            await ari.request("POST", "channels/1/answer")
        assert "POST channels/1/answer" in str(raised.value)


async def test_an_event_before_the_answer_is_dispatched_before_the_answer() -> None:
    async def script(socket: web.WebSocketResponse, request: Event) -> None:
        await socket.send_str(json.dumps({"type": "StasisStart", "channel": {"id": "mine"}}))
        await answer(socket, request, 200, '{"id": "mine"}')

    peer = Peer(script)
    async with peer.connected() as ari:
        asking = asyncio.create_task(ari.request("POST", "channels/mine"))
        await until(lambda: peer.events, "the event")
        assert await asking == {"id": "mine"}
    assert [event["type"] for event in peer.events] == ["StasisStart"]


async def test_answers_may_come_in_any_order_and_find_their_request() -> None:
    requests: list[Event] = []

    async def script(socket: web.WebSocketResponse, request: Event) -> None:
        requests.append(request)
        if len(requests) == 3:
            for each in reversed(requests):
                await answer(socket, each, 200, json.dumps(each["uri"]))

    async with Peer(script).connected() as ari:
        paths = [f"channels/{number}" for number in range(3)]
        assert await asyncio.gather(*(ari.request("GET", path) for path in paths)) == paths


@pytest.mark.parametrize("strange", ["no json", "[]", "{}", '{"type": "NeverHeardOf", "x": {}}'])
async def test_what_is_strange_does_not_cost_what_follows(strange: str) -> None:
    async def script(socket: web.WebSocketResponse, request: Event) -> None:
        await socket.send_str(strange)
        await answer(socket, request, 200, '"as asked"')

    peer = Peer(script)
    async with peer.connected() as ari:
        assert await ari.request("GET", "bridges/mine") == "as asked"
    assert peer.resyncs == 1


async def test_an_answer_that_comes_too_late_harms_nobody() -> None:
    late: list[Event] = []

    async def script(socket: web.WebSocketResponse, request: Event) -> None:
        if not late:
            late.append(request)
            return
        await answer(socket, late[0], 200, '"late"')
        await answer(socket, request, 200, '"in time"')

    async with Peer(script).connected() as ari:
        with pytest.raises(AriUnavailable, match=r"no answer from Asterisk in 0\.01 s"):
            await ari.request("GET", "bridges/mine", within=0.01)
        assert await ari.request("GET", "bridges/mine") == "in time"


async def test_a_socket_closed_under_a_request_is_reopened() -> None:
    async def script(socket: web.WebSocketResponse, request: Event) -> None:
        await socket.close()

    peer = Peer(script)
    async with peer.connected() as ari:
        with pytest.raises(AriUnavailable):
            await ari.request("POST", "channels/1/answer")
        await until(lambda: peer.resyncs == 2, "connected again")
