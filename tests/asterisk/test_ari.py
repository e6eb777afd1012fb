"""The ARI client against a real Asterisk that dies, freezes, refuses, floods and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from callcenter.asterisk.ari import Ari, Event, Gone, Refused, Unreachable
from callcenter.errors import WeFailed
from tests.protocol.bare_asterisk import SECRET, USER, BareAsterisk
from tests.protocol.polling import until
from tests.protocol.relay import Relay

pytestmark = pytest.mark.usefixtures("no_task_left")


class Client:
    """An ARI client that remembers."""

    def __init__(self, port: int, name: str = "line-1", password: str = SECRET) -> None:
        self.events: list[Event] = []
        self.connections = 0
        self.ari = Ari(
            port=port,
            user=USER,
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
        with pytest.raises(Unreachable):
            await ari.request("GET", "channels", within=0.5)
        await asterisk.start()
        await until(lambda: client.connections == 2, "connected again")
        await client.ask_for_an_event("after")
        await until(lambda: client.named() == ["after"], "events flow again")


async def test_what_is_asked_while_asterisk_boots_waits_or_is_unreachable_but_never_gone(
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
                except Unreachable as exc:
                    answers.append(exc)
    assert any(isinstance(answer, Unreachable) for answer in answers)


async def test_a_cut_websocket_is_made_again_and_its_unanswered_request_fails_once(
    asterisk: BareAsterisk,
) -> None:
    relay = Relay(asterisk.ari_port)
    server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    client = Client(server.sockets[0].getsockname()[1])
    async with server, client.running() as ari:
        await until(lambda: client.connections == 1, "connected")
        asterisk.freeze()
        asking = asyncio.create_task(ari.request("POST", "bridges", {"type": "mixing"}))
        await asyncio.sleep(0)
        relay.cut()
        with pytest.raises(Unreachable):
            await asking
        asterisk.thaw()
        await until(lambda: client.connections == 2, "connected again")
        # What arrived before the cut may have been done, but not a second time.
        assert len(await ari.request("GET", "bridges")) <= 1
    await until(lambda: len(asyncio.all_tasks()) <= 2, "the relay's ends are closed")


async def test_a_peer_that_hangs_is_noticed_and_left_and_found_again(
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
        await until(lambda: "refuses ARI's password" in caplog.text, "it is named")
        with pytest.raises(Unreachable, match="not connected"):
            await ari.request("GET", "channels", within=1.5)
    assert caplog.text.count("refuses ARI's password") == 1
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
                with suppress(Unreachable):  # Asterisk cuts off a reader that is too slow
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

    client.ari._on_event = take
    async with client.running():
        await until(lambda: client.connections == 1, "connected")
        await client.ask_for_an_event("strange")
        await client.ask_for_an_event("after")
        await until(lambda: client.named() == ["strange", "after"], "both events")
    assert "could not be handled" in caplog.text


async def test_a_second_process_of_the_same_name_ends_the_first_with_the_reason(
    asterisk: BareAsterisk,
) -> None:
    first, second = Client(asterisk.ari_port), Client(asterisk.ari_port)
    task = asyncio.create_task(first.ari.run())
    await until(lambda: first.connections == 1, "the first is connected")
    async with second.running():
        with pytest.raises(WeFailed, match="another process answers calls as line-1"):
            await asyncio.wait_for(task, 10)


async def test_gone_and_refused_are_told_apart(asterisk: BareAsterisk) -> None:
    client = Client(asterisk.ari_port)
    async with client.running() as ari:
        with pytest.raises(Gone, match="channels/nobody/answer: Channel not found"):
            await ari.request("POST", "channels/nobody/answer")
        with pytest.raises(Refused, match="500 Allocation failed"):
            await ari.request("POST", "channels", {"endpoint": "Nothing/here", "app": "line-1"})
