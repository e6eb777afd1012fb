"""The dialplan with a controller: calls claimed, returned, or sent to the fallback."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.phone import Phone
from tests.asterisk.switch import Switch, with_free_ports
from tests.polling import until


@pytest.fixture
async def switch(settings: Settings) -> AsyncIterator[Switch]:
    async with Switch(with_free_ports(settings)) as running:
        yield running


class Controller:
    """The smallest controller that claims a call."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, name: str) -> None:
        self.socket, self.name = socket, name

    async def ask(self, uri: str) -> None:
        request = {"type": "RESTRequest", "request_id": uri, "method": "POST", "uri": uri}
        await self.socket.send_json(request)

    async def event(self, kind: str) -> dict[str, dict[str, str]]:
        while True:
            event: dict[str, dict[str, str]] = await self.socket.receive_json(timeout=10)
            if str(event["type"]) == kind:
                return event

    async def claim(self) -> str:
        """Claims the next call; returns the id of its channel once it is ours."""
        channel = (await self.event("CallBroadcast"))["channel"]["id"]
        await self.ask(f"events/claim?channelId={channel}&application={self.name}")
        await self.event("StasisStart")
        return channel


@asynccontextmanager
async def controller(settings: Settings, name: str) -> AsyncIterator[Controller]:
    secret = read_secret(settings.secrets_folder, "ari")
    headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", secret)}
    url = f"ws://127.0.0.1:{settings.ari_port}/ari/events?app={name}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=headers) as socket,
    ):
        yield Controller(socket, name)


def cel_events(switch: Switch) -> list[dict[str, str]]:
    path = switch.settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def events_of(switch: Switch, channel: str) -> list[str]:
    return [each["eventtype"] for each in cel_events(switch) if each["uniqueid"] == channel]


async def test_a_call_that_a_controller_gives_back_is_hung_up(switch: Switch) -> None:
    async with (
        controller(switch.settings, "line-1") as line,
        Phone(server=switch.sip) as phone,
    ):
        call = await phone.call("111")
        channel = await line.claim()
        await line.ask(f"channels/{channel}/answer")
        await call.answered()
        await line.ask(f"channels/{channel}/continue")
        await call.ended()
    await until(lambda: "CHAN_END" in events_of(switch, channel), "CHAN_END is in the CEL log")
    assert "FALLBACK_ENTERED" not in events_of(switch, channel)


async def test_a_controller_can_send_a_call_to_the_fallback(switch: Switch) -> None:
    async with (
        controller(switch.settings, "line-2") as line,
        Phone(server=switch.sip) as phone,
    ):
        call = await phone.call("111")
        channel = await line.claim()
        await line.ask(f"channels/{channel}/continue?context=fallback&extension=s&priority=1")
        await call.answered()
        await until(
            lambda: "FALLBACK_ENTERED" in events_of(switch, channel),
            "FALLBACK_ENTERED is in the CEL log",
        )
        await call.hang_up()
    await until(
        lambda: "FALLBACK_ENDED" in events_of(switch, channel), "FALLBACK_ENDED is in the CEL log"
    )


async def test_an_application_that_is_no_controller_gets_no_offer(switch: Switch) -> None:
    number = "+77010000099"
    async with (
        controller(switch.settings, "statistics-line-1"),
        Phone(server=switch.sip, user=number) as phone,
    ):
        call = await phone.call("111")
        await call.answered()
        await until(
            lambda: "FALLBACK_ENTERED" in [each["eventtype"] for each in cel_events(switch)],
            "the caller is in the fallback",
        )
        await call.hang_up()
    (channel,) = (each["uniqueid"] for each in cel_events(switch) if number in each["eventextra"])
    await until(
        lambda: "FALLBACK_ENDED" in events_of(switch, channel), "FALLBACK_ENDED is in the CEL log"
    )


async def test_while_all_are_late_nobody_is_waited_for(switch: Switch) -> None:
    """Until the watchdog's word expires; then controllers are offered calls again."""
    async with (
        controller(switch.settings, "line-1") as line,
        Phone(server=switch.sip, user="+77010000098") as phone,
    ):
        until_then = int(time.time()) + 3
        await line.ask(f"asterisk/variable?variable=OVERLOADED_UNTIL&value={until_then}")
        await line.event("RESTResponse")
        call = await phone.call("111")
        await call.answered()
        await until(lambda: why_fallback(switch) == ["OVERLOADED"], "the caller is in the fallback")
        await call.hang_up()
        # Asterisk's time(2) may be a tick of the kernel behind ours.
        await until(lambda: time.time() >= until_then + 0.1, "the word has expired")
        again = await phone.call("111")
        await line.claim()
        await again.hang_up()
        assert why_fallback(switch) == ["OVERLOADED"]


def why_fallback(switch: Switch) -> list[str]:
    entered = (each for each in cel_events(switch) if each["eventtype"] == "FALLBACK_ENTERED")
    return [json.loads(each["eventextra"])["extra"] for each in entered]
