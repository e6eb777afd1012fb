"""The AMI client against a real Asterisk that dies, freezes, refuses and comes back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.telephony.asterisk.ami import Ami, AmiActionFailed, AmiUnavailable, Fields
from tests.polling import until
from tests.protocol.bare_asterisk import SECRET, BareAsterisk
from tests.protocol.relay import Relay
from tests.streams import port_of, stream_server

pytestmark = pytest.mark.usefixtures("no_task_left")


class Watcher:
    """Records events and connections, in order."""

    def __init__(self) -> None:
        self.connections = 0
        self.events: list[Fields] = []

    async def connected(self) -> None:
        self.connections += 1

    @asynccontextmanager
    async def watching(self, port: int, secret: str = SECRET) -> AsyncIterator[Ami]:
        ami = Ami(port=port, secret=secret)
        ami.on_event("UserEvent", self.events.append)
        ami.on_event("DeviceStateChange", self.events.append)
        ami.on_connected(self.connected)
        async with ami:
            yield ami


async def command(ami: Ami, line: str) -> str:
    return (await ami.action({"Action": "Command", "Command": line})).output


async def test_device_states_are_listed_and_their_changes_follow_in_order(
    asterisk: BareAsterisk,
) -> None:
    watcher = Watcher()
    async with watcher.watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        states = ["INUSE", "NOT_INUSE", "RINGING", "UNAVAILABLE"]
        for state in states:
            await command(ami, f"devstate change Custom:201 {state}")
        await until(lambda: len(watcher.events) == len(states), "every change of state")
        assert [event["State"] for event in watcher.events] == states
        assert (await ami.device_states())["Custom:201"] == "UNAVAILABLE"


async def test_only_events_with_a_callback_are_sent_at_all(asterisk: BareAsterisk) -> None:
    watcher = Watcher()
    relay = Relay(asterisk.ami_port)
    async with stream_server(relay.carry) as server:
        ami = Ami(port=port_of(server), secret=SECRET)
        ami.on_event("UserEvent", watcher.events.append)
        async with ami:
            await ami.ready(20)
            await command(ami, "devstate change Custom:201 INUSE")
            await ami.action({"Action": "UserEvent", "UserEvent": "Ours"})
            await until(lambda: watcher.events, "our own event")
    assert b"Event: UserEvent" in relay.answered
    assert b"Event: DeviceStateChange" not in relay.answered


async def test_after_asterisk_was_restarted_it_is_connected_and_compared_again(
    asterisk: BareAsterisk,
) -> None:
    watcher = Watcher()
    async with watcher.watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        await asterisk.kill()
        await until(lambda: not ami.connected.is_set(), "the loss is noticed")
        with pytest.raises(AmiUnavailable):
            await ami.action({"Action": "Ping"})
        await asterisk.start()
        await until(lambda: watcher.connections == 2, "connected again")
        await ami.action({"Action": "UserEvent", "UserEvent": "After"})
        await until(lambda: watcher.events, "events flow again")
    assert watcher.connections == 2


async def test_an_unanswered_action_is_not_sent_to_the_next_asterisk(
    asterisk: BareAsterisk,
) -> None:
    watcher = Watcher()
    async with watcher.watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        asterisk.freeze()
        calls = [
            asyncio.create_task(
                ami.action(
                    {
                        "Action": "Originate",
                        "Channel": "Local/silence@line",
                        "Context": "line",
                        "Exten": "silence",
                        "Priority": "1",
                        "Async": "true",
                    }
                )
            )
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        await asterisk.kill()
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, AmiUnavailable)
        await asterisk.start()
        await until(lambda: watcher.connections == 2, "connected again")
        await ami.action({"Action": "UserEvent", "UserEvent": "After"})
        await until(lambda: watcher.events, "whatever was replayed has been sent by now")
        assert "0 calls processed" in await command(ami, "core show channels")


async def test_a_hung_peer_is_noticed_left_and_found_again(
    asterisk: BareAsterisk,
) -> None:
    watcher = Watcher()
    async with watcher.watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        asterisk.freeze()
        await until(lambda: not ami.connected.is_set(), "silence is taken for a loss", limit=10)
        with pytest.raises(DependencyUnavailable, match="no answer"):
            await ami.ready(0.01)
        asterisk.thaw()
        await until(lambda: watcher.connections == 2, "connected again")


async def test_a_cut_connection_is_restored_and_its_unanswered_action_fails(
    asterisk: BareAsterisk,
) -> None:
    watcher = Watcher()
    relay = Relay(asterisk.ami_port)
    async with stream_server(relay.carry) as server, watcher.watching(port_of(server)) as ami:
        await ami.ready(20)
        await ami.action({"Action": "UserEvent", "UserEvent": "Ours", "Text": "Өскемен"})
        await until(lambda: watcher.events, "an event through the relay")
        assert watcher.events[0]["Text"] == "Өскемен"
        asterisk.freeze()
        waiting = asyncio.create_task(ami.action({"Action": "CoreStatus"}))
        await asyncio.sleep(0)
        relay.cut()
        with pytest.raises(AmiUnavailable, match="lost"):
            await waiting
        assert not ami.connected.is_set(), "whoever tries again at once would spin"
        asterisk.thaw()
        await until(lambda: watcher.connections == 2, "connected again")


async def test_a_wrong_password_is_named_once_and_not_hammered(
    asterisk: BareAsterisk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watcher = Watcher()
    async with watcher.watching(asterisk.ami_port, secret="wrong, and never logged") as ami:
        with pytest.raises(
            DependencyUnavailable, match=r"refuses our user or password.*Authentication failed"
        ):
            await ami.ready(4)
        with pytest.raises(AmiUnavailable, match="refuses our user or password"):
            await ami.action({"Action": "Ping"})
    assert caplog.text.count("refuses our user or password") == 1
    assert asterisk.said().count("failed to authenticate") == 1
    assert "never logged" not in caplog.text
    assert watcher.connections == 0


async def test_nobody_listening_is_named() -> None:
    async with Ami(port=free_port(), secret=SECRET) as ami:
        with pytest.raises(DependencyUnavailable, match="Connect call failed"):
            await ami.ready(1)


async def test_an_asterisk_that_is_started_later_is_found(tmp_path: Path) -> None:
    watcher = Watcher()
    asterisk = BareAsterisk(tmp_path)
    async with watcher.watching(asterisk.ami_port) as ami:
        with pytest.raises(DependencyUnavailable):
            await ami.ready(0.1)
        await asterisk.start()
        try:
            await ami.ready(20)
        finally:
            await asterisk.kill()


async def test_a_second_action_cannot_be_smuggled_into_a_value(asterisk: BareAsterisk) -> None:
    watcher = Watcher()
    async with watcher.watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        smuggled = "x\r\n\r\nAction: UserEvent\r\nUserEvent: Smuggled"
        with pytest.raises(InvalidRequest):
            await ami.action({"Action": "UserEvent", "UserEvent": "Ours", "Text": smuggled})
        await ami.action({"Action": "UserEvent", "UserEvent": "Ours"})
        await until(lambda: watcher.events, "our own event")
        assert [event["UserEvent"] for event in watcher.events] == ["Ours"]


async def test_asterisk_refuses_a_line_that_is_too_long(
    asterisk: BareAsterisk,
) -> None:
    async with Watcher().watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        with pytest.raises(AmiActionFailed, match="line too long"):
            await ami.action({"Action": "UserEvent", "UserEvent": "Ours", "Text": "x" * 1100})
        await ami.action({"Action": "Ping"})


async def test_a_failed_resync_is_repeated_on_a_new_connection(
    asterisk: BareAsterisk, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = 0

    async def resync() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await ami.action({"Action": "Nope"})

    ami = Ami(port=asterisk.ami_port, secret=SECRET)
    ami.on_connected(resync)
    async with ami:
        await until(lambda: attempts == 2, "tried again")
    assert "Nope: Invalid/unknown command" in caplog.text


async def test_cancelling_an_action_forgets_only_its_answer(asterisk: BareAsterisk) -> None:
    async with Watcher().watching(asterisk.ami_port) as ami:
        await ami.ready(20)
        asking = asyncio.create_task(ami.action({"Action": "DeviceStateList"}))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.gather(*(ami.action({"Action": "Ping"}) for _ in range(50)))
