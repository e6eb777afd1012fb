"""The ARI client against a real Asterisk that dies, freezes, refuses and floods."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.asterisk.ari import (
    Ari,
    AriRequestFailed,
    AriUnavailable,
    ChannelNotFound,
    Event,
)
from tests.polling import until
from tests.protocol.bare_asterisk import SECRET, BareAsterisk
from tests.protocol.relay import Relay
from tests.streams import port_of, stream_server

MANY = 1000  # calls with two channels each: their description is longer than a thread's stack

pytestmark = pytest.mark.usefixtures("no_task_left")


class Client:
    """An ARI client that records its events."""

    def __init__(self, port: int, name: str = "line-1", password: str = SECRET) -> None:
        self.events: list[Event] = []
        self.connections = 0
        self.ari = Ari(
            port=port,
            password=password,
            application=name,
            on_event=self.take,
            on_connected=self.connected,
        )

    def take(self, event: Event) -> None:
        self.events.append(event)

    async def connected(self) -> None:
        await self.ari.request("GET", "channels")
        self.connections += 1

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ari]:
        task = asyncio.create_task(self.ari.run())
        try:
            yield self.ari
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def ask_for_an_event(self, text: str) -> None:
        await self.ari.request("POST", f"events/user/{text}", {"application": self.ari.application})

    def named(self) -> list[str]:
        return [event["eventname"] for event in self.events if event["type"] == "ChannelUserevent"]


async def test_after_asterisk_was_restarted_it_is_connected_and_compared_again(
    asterisk: BareAsterisk,
) -> None:
    client = Client(asterisk.ari_port)
    async with client.running() as ari:
        await until(lambda: client.connections == 1, "connected")
        await asterisk.kill()
        with pytest.raises(AriUnavailable):
            await ari.request("GET", "channels", within=0.5)
        await asterisk.start()
        await until(lambda: client.connections == 2, "connected again")
        await client.ask_for_an_event("after")
        await until(lambda: client.named() == ["after"], "events flow again")


async def test_requests_during_asterisks_boot_wait_or_are_unreachable_never_gone(
    asterisk: BareAsterisk,
) -> None:
    """Booting, Asterisk refuses, then sends 404 in HTML, then 503: none of it means hung up."""
    client = Client(asterisk.ari_port)
    answers: list[object] = []
    async with client.running() as ari:
        await until(lambda: client.connections == 1, "connected")
        for _ in range(3):
            await asterisk.kill()
            await asterisk.start()
            connections = client.connections
            while client.connections == connections:
                try:
                    answers.append(await ari.request("GET", "channels", within=0.05))
                except AriUnavailable as exc:
                    answers.append(exc)
    assert any(isinstance(answer, AriUnavailable) for answer in answers)


async def test_a_cut_websocket_is_restored_and_its_request_fails_once(
    asterisk: BareAsterisk,
) -> None:
    relay = Relay(asterisk.ari_port)
    async with stream_server(relay.carry) as server:
        client = Client(port_of(server))
        async with client.running() as ari:
            await until(lambda: client.connections == 1, "connected")
            asterisk.freeze()
            asking = asyncio.create_task(ari.request("POST", "bridges", {"type": "mixing"}))
            await asyncio.sleep(0)
            relay.cut()
            with pytest.raises(AriUnavailable):
                await asking
            asterisk.thaw()
            await until(lambda: client.connections == 2, "connected again")
            # What arrived before the cut may have been done, but not a second time.
            assert len(await ari.request("GET", "bridges")) <= 1


async def test_a_hung_peer_is_noticed_left_and_found_again(
    asterisk: BareAsterisk,
) -> None:
    client = Client(asterisk.ari_port)
    async with client.running() as ari:
        await until(lambda: client.connections == 1, "connected")
        asterisk.freeze()
        await until(lambda: not ari.connected.is_set(), "silence is taken for a loss", limit=10)
        asterisk.thaw()
        await until(lambda: client.connections == 2, "connected again")


async def test_a_wrong_password_is_named_and_not_hammered(
    asterisk: BareAsterisk, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(asterisk.ari_port, password="wrong, and never logged")
    async with client.running() as ari:
        await until(lambda: "ARI password refused" in caplog.text, "it is named")
        with pytest.raises(AriUnavailable, match="not connected"):
            await ari.request("GET", "channels", within=1.5)
    assert caplog.text.count("ARI password refused") == 1
    assert "never logged" not in caplog.text


async def test_a_reader_that_was_busy_is_no_zombie_afterwards(asterisk: BareAsterisk) -> None:
    """Busy for longer than a heartbeat, with more waiting than the sockets' buffers hold."""
    client, flooder = Client(asterisk.ari_port), Client(asterisk.ari_port, "line-2")
    async with client.running(), flooder.running():
        await until(lambda: client.connections and flooder.connections, "connected")
        flood = [
            flooder.ari.request(
                "POST",
                "events/user/flood",
                {"application": "line-1"},
                body={"variables": {"text": "x" * 4000}},
            )
            for _ in range(1500)
        ]
        flooding = asyncio.gather(*flood, return_exceptions=True)
        await asyncio.sleep(0)
        time.sleep(4)  # noqa: ASYNC251 this is the busy reader
        await flooding
        async with asyncio.timeout(20):
            while "after" not in client.named():
                with suppress(AriUnavailable):  # Asterisk cuts off a reader that is too slow
                    await client.ask_for_an_event("after")


async def test_a_callback_that_fails_does_not_cost_the_next_event(
    asterisk: BareAsterisk, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(asterisk.ari_port)
    remember = client.take

    def take(event: Event) -> None:
        remember(event)
        if len(client.events) == 1:
            raise KeyError("an event like no other")

    client.ari.on_event = take
    async with client.running():
        await until(lambda: client.connections == 1, "connected")
        await client.ask_for_an_event("strange")
        await client.ask_for_an_event("after")
        await until(lambda: client.named() == ["strange", "after"], "both events")
    assert "event not handled" in caplog.text


async def test_a_second_process_of_the_name_ends_the_first(
    asterisk: BareAsterisk,
) -> None:
    first, second = Client(asterisk.ari_port), Client(asterisk.ari_port)
    task = asyncio.create_task(first.ari.run())
    await until(lambda: first.connections == 1, "the first is connected")
    async with second.running():
        with pytest.raises(OperationFailed, match="another process answers calls as line-1"):
            await asyncio.wait_for(task, 10)


async def test_gone_and_refused_are_distinguished(asterisk: BareAsterisk) -> None:
    client = Client(asterisk.ari_port)
    async with client.running() as ari:
        with pytest.raises(ChannelNotFound, match="channels/nobody/answer: Channel not found"):
            await ari.request("POST", "channels/nobody/answer")
        with pytest.raises(AriRequestFailed, match="500 Allocation failed"):
            await ari.request("POST", "channels", {"endpoint": "Nothing/here", "app": "line-1"})


async def test_a_list_of_many_channels_does_not_end_asterisk(asterisk: BareAsterisk) -> None:
    client = Client(asterisk.ari_port)
    call = {"endpoint": "Local/silence@line", "context": "line", "extension": "silence"}
    async with client.running() as ari:
        await until(lambda: client.connections == 1, "connected")
        await asyncio.gather(*(ari.request("POST", "channels", call) for _ in range(MANY)))
        channels = await ari.request("GET", "channels")
        assert len({channel["id"] for channel in channels}) == 2 * MANY
        await client.ask_for_an_event("after")
        await until(lambda: client.named() == ["after"], "events flow on the same connection")
        assert client.connections == 1
