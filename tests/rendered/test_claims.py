"""The dialplan with a controller: a call that is claimed, given back, or sent to the fallback."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from callcenter.asterisk.render import render, write
from callcenter.demo.phone import Phone
from callcenter.secrets import read_secret
from callcenter.settings import Settings
from tests.rendered.running import ACCOUNTS, running, settings_of, until


@pytest.fixture(scope="module")
def switch(short_folder: Path) -> Iterator[Settings]:
    settings = settings_of(short_folder / "claims", claim_timeout=0.5)
    write(settings, render(settings, ACCOUNTS))
    with running(settings):
        yield settings


class Controller:
    """As little of a controller as claims a call."""

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


def ledger(settings: Settings) -> list[dict[str, str]]:
    path = settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def events_of(settings: Settings, channel: str) -> list[str]:
    return [each["eventtype"] for each in ledger(settings) if each["uniqueid"] == channel]


async def test_a_call_that_a_controller_gives_back_is_hung_up(switch: Settings) -> None:
    async with (
        controller(switch, "line-1") as line,
        Phone(server=("127.0.0.1", switch.sip_port)) as phone,
    ):
        call = await phone.call("111")
        channel = await line.claim()
        await line.ask(f"channels/{channel}/answer")
        await call.answered()
        await line.ask(f"channels/{channel}/continue")
        await call.ended()
    await until(lambda: "CHAN_END" in events_of(switch, channel))
    assert "FALLBACK_ENTERED" not in events_of(switch, channel)


async def test_a_controller_can_send_a_call_to_the_fallback(switch: Settings) -> None:
    async with (
        controller(switch, "line-2") as line,
        Phone(server=("127.0.0.1", switch.sip_port)) as phone,
    ):
        call = await phone.call("111")
        channel = await line.claim()
        await line.ask(f"channels/{channel}/continue?context=fallback&extension=s&priority=1")
        await call.answered()
        await until(lambda: "FALLBACK_ENTERED" in events_of(switch, channel))
        await call.hang_up()
    await until(lambda: "FALLBACK_ENDED" in events_of(switch, channel))


async def test_an_application_that_is_no_controller_is_not_asked(switch: Settings) -> None:
    number = "+77010000099"
    async with (
        controller(switch, "statistics-line-1"),
        Phone(server=("127.0.0.1", switch.sip_port), user=number) as phone,
    ):
        call = await phone.call("111")
        await call.answered()
        await call.hang_up()
    (channel,) = (each["uniqueid"] for each in ledger(switch) if number in each["eventextra"])
    await until(lambda: "FALLBACK_ENDED" in events_of(switch, channel))
