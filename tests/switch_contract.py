"""Contract of a switch: what controllers rely on, asserted of the simulated and the real one.

`tests/asterisk/test_switch_contract.py` runs it on Asterisk, `tests/simulation/test_switch.py` on
the switch of the simulation, so that this one cannot pretend. The client is the product's own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

import pytest

from callcenter.telephony.asterisk.ari import Ari, AriRequestFailed, ChannelNotFound, Event
from tests.polling import until

ONE, OTHER = "line-1.aaaa", "line-2.bbbb"


class Site(Protocol):
    """A switch, and people who use it."""

    port: int
    endpoint: str  #: of somebody who answers at once
    sound: str  #: the URI of one that is longer than any of these tests
    claim_timeout: float  #: seconds that it offers a call

    async def call(self) -> None:
        """Somebody calls, and is offered to all applications."""

    async def leave(self, channel: Mapping[str, Any]) -> None:
        """The caller with this channel hangs up."""


class Client:
    """A client of ARI that records its events."""

    def __init__(self, site: Site, name: str, password: str) -> None:
        self.name = name
        self.events: list[Event] = []
        self.ari = Ari(
            port=site.port,
            password=password,
            application=name,
            on_event=self.events.append,
            on_connected=_nothing,
        )

    def of(self, channel_id: str) -> list[str]:
        """Kinds of its events about a channel, in order."""
        return [
            each["type"] for each in self.events if each.get("channel", {}).get("id") == channel_id
        ]

    def named(self, kind: str) -> list[Event]:
        return [each for each in self.events if each["type"] == kind]

    async def claim(self, channel_id: str) -> None:
        query = {"channelId": channel_id, "application": self.name}
        await self.ari.request("POST", "events/claim", query)

    async def channels(self) -> dict[str, list[str]]:
        """Channels of each application, by its name."""
        listed = await self.ari.request("GET", "applications")
        return {each["name"]: each["channel_ids"] for each in listed}

    async def play(self, channel_id: str, playback: str, sound: str) -> None:
        path = f"channels/{channel_id}/play/{playback}"
        await self.ari.request("POST", path, {"media": sound})


async def _nothing() -> None:
    pass


Connect = Callable[[str], AbstractAsyncContextManager[Client]]
Contract = Callable[[Site, Connect], Awaitable[None]]


@asynccontextmanager
async def connected(site: Site, name: str, password: str) -> AsyncIterator[Client]:
    """A client that is connected within the block."""
    client = Client(site, name, password)
    running = asyncio.create_task(client.ari.run())
    try:
        await client.ari.ready(20)
        yield client
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _offered(site: Site, client: Client) -> dict[str, Any]:
    """The channel of a new call that is offered to this client."""
    before = len(client.named("CallBroadcast"))
    await site.call()
    await until(lambda: len(client.named("CallBroadcast")) > before, "a call is offered")
    channel: dict[str, Any] = client.named("CallBroadcast")[-1]["channel"]
    return channel


async def _claimed(site: Site, client: Client) -> dict[str, Any]:
    """The channel of a new call that this client has claimed."""
    channel = await _offered(site, client)
    await client.claim(channel["id"])
    await until(lambda: "StasisStart" in client.of(channel["id"]), "the call is ours")
    return channel


async def _originated(client: Client, site: Site, channel_id: str) -> None:
    """Somebody whom this client called, and who has answered."""
    query = {"endpoint": site.endpoint, "app": client.name}
    await client.ari.request("POST", f"channels/{channel_id}", query)
    await until(lambda: "StasisStart" in client.of(channel_id), "it was answered")


async def one_alone_gets_an_offered_call(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one, connect(OTHER) as other:
        channel = await _offered(site, one)
        await until(lambda: other.named("CallBroadcast"), "all are asked")
        await one.claim(channel["id"])
        with pytest.raises((AriRequestFailed, ChannelNotFound)):
            await other.claim(channel["id"])
        await until(lambda: "StasisStart" in one.of(channel["id"]), "it is the first one's")
        assert "StasisStart" not in other.of(channel["id"])
        await site.leave(channel)


async def an_unclaimed_call_goes_on_without_us(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        channel = await _offered(site, one)
        await asyncio.sleep(site.claim_timeout + 0.3)
        with pytest.raises((AriRequestFailed, ChannelNotFound)):
            await one.claim(channel["id"])
        assert channel["id"] not in (await one.channels())[ONE]
        await site.leave(channel)


async def channels_stay_with_an_application_that_is_gone(site: Site, connect: Connect) -> None:
    async with connect(OTHER) as other:
        async with connect(ONE) as one:
            channel = await _claimed(site, one)
        assert channel["id"] in (await other.channels())[ONE]
        listed = await other.ari.request("GET", "channels")
        assert channel["id"] in [each["id"] for each in listed]
        await site.leave(channel)
        async with asyncio.timeout(10):
            while ONE in await other.channels():
                await asyncio.sleep(0.05)


async def a_channel_is_moved_from_one_that_is_gone(site: Site, connect: Connect) -> None:
    async with connect(OTHER) as other:
        async with connect(ONE) as one:
            channel = await _claimed(site, one)
        await other.ari.request("POST", f"channels/{channel['id']}/move", {"app": OTHER})
        await until(lambda: "StasisStart" in other.of(channel["id"]), "it was moved")
        assert channel["id"] in (await other.channels())[OTHER]
        await site.leave(channel)
        await until(lambda: "StasisEnd" in other.of(channel["id"]), "the caller has left")


async def one_that_is_alive_hears_that_it_lost_a_channel(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one, connect(OTHER) as other:
        channel = await _claimed(site, one)
        await other.ari.request("POST", f"channels/{channel['id']}/move", {"app": OTHER})
        await until(lambda: "StasisStart" in other.of(channel["id"]), "it was moved")
        await until(lambda: "StasisEnd" in one.of(channel["id"]), "the first one knows")
        await site.leave(channel)


async def a_channel_that_is_played_to_is_not_moved(site: Site, connect: Connect) -> None:
    async with connect(OTHER) as other:
        async with connect(ONE) as one:
            channel = await _claimed(site, one)
            await one.play(channel["id"], "play-of-one", site.sound)
        await other.ari.request("POST", f"channels/{channel['id']}/move", {"app": OTHER})
        await asyncio.sleep(1.0)
        assert "StasisStart" not in other.of(channel["id"])
        await other.ari.request("DELETE", "playbacks/play-of-one")
        await until(lambda: "StasisStart" in other.of(channel["id"]), "it was moved at last")
        await site.leave(channel)


async def a_stopped_playback_is_reported_and_gone(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        channel = await _claimed(site, one)
        await one.play(channel["id"], "play-1", site.sound)
        assert (await one.ari.request("GET", "playbacks/play-1"))["id"] == "play-1"
        await one.ari.request("DELETE", "playbacks/play-1")
        await until(lambda: one.named("PlaybackFinished"), "it is reported")
        finished = one.named("PlaybackFinished")[0]["playback"]
        assert (finished["id"], finished["target_uri"]) == ("play-1", f"channel:{channel['id']}")
        with pytest.raises(ChannelNotFound):
            await one.ari.request("DELETE", "playbacks/play-1")
        await site.leave(channel)


async def who_originated_a_channel_is_named_with_it(site: Site, connect: Connect) -> None:
    async with connect(OTHER) as other:
        async with connect(ONE) as one:
            await _originated(one, site, "called-1")
        await other.ari.request("POST", "channels/called-1/move", {"app": OTHER})
        await until(lambda: "StasisStart" in other.of("called-1"), "it was moved")
        named = await other.channels()
        assert "called-1" in named[OTHER]
        assert "called-1" in named[ONE]
        query = {"eventSource": "channel:called-1"}
        path = f"applications/{ONE}/subscription"
        named_with = [await other.ari.request("DELETE", path, query)]
        while "called-1" in named_with[-1]["channel_ids"]:  # it counts how often it subscribed
            named_with.append(await other.ari.request("DELETE", path, query))
        assert len(named_with) < 5
        await other.ari.request("DELETE", "channels/called-1")
        await until(lambda: "StasisEnd" in other.of("called-1"), "it has ended")


async def an_ended_channel_says_so_in_order(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        await _originated(one, site, "called-1")
        await one.ari.request("DELETE", "channels/called-1")
        await until(lambda: "ChannelDestroyed" in one.of("called-1"), "it has ended")
        ends = [each for each in one.of("called-1") if each in ("StasisEnd", "ChannelDestroyed")]
        assert ends == ["StasisEnd", "ChannelDestroyed"]
        with pytest.raises(ChannelNotFound):
            await one.ari.request("DELETE", "channels/called-1")


async def nobody_is_rung_for_a_caller_who_left(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        query = {"endpoint": site.endpoint, "app": ONE, "originator": "1795000000.999"}
        with pytest.raises(AriRequestFailed, match="originator channel was not found"):
            await one.ari.request("POST", "channels/called-1", query)


async def _is_gone(client: Client, path: str) -> bool:
    """Whether it is not found; Asterisk still shows a bridge that its channels are leaving."""
    with suppress(ChannelNotFound):
        await client.ari.request("GET", path)
        return False
    return True


async def legs_leave_a_bridge_and_stay(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        channel = await _claimed(site, one)
        await _originated(one, site, "called-1")
        query = {"type": "mixing", "bridgeId": "talk-1", "name": ONE}
        await one.ari.request("POST", "bridges", query)
        with pytest.raises(AriRequestFailed):
            await one.ari.request("POST", "bridges/talk-1/addChannel", {"channel": "called-9"})
        both = f"{channel['id']},called-1"
        await one.ari.request("POST", "bridges/talk-1/addChannel", {"channel": both})
        inside = (await one.ari.request("GET", "bridges/talk-1"))["channels"]
        assert {*inside} == {channel["id"], "called-1"}
        await one.ari.request("DELETE", "bridges/talk-1")
        await until(lambda: _is_gone(one, "bridges/talk-1"), "the bridge is gone")
        assert {*(await one.channels())[ONE]} >= {channel["id"], "called-1"}
        await one.ari.request("DELETE", "channels/called-1")
        await site.leave(channel)


async def a_caller_is_given_back_to_the_dialplan(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        channel = await _claimed(site, one)
        query = {"context": "fallback", "extension": "s", "priority": "1"}
        await one.ari.request("POST", f"channels/{channel['id']}/continue", query)
        await until(lambda: "StasisEnd" in one.of(channel["id"]), "it has left us")
        with pytest.raises(AriRequestFailed) as refused:
            await one.ari.request("POST", f"channels/{channel['id']}/answer")
        assert refused.value.status == 409
        await site.leave(channel)


async def what_is_not_there_is_not_found(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        for method, path in (
            ("DELETE", "channels/1795000000.999"),
            ("DELETE", "bridges/talk-9"),
            ("GET", "playbacks/play-9"),
            ("POST", "channels/1795000000.999/answer"),
        ):
            with pytest.raises(ChannelNotFound):
                await one.ari.request(method, path)


async def an_event_for_oneself_comes_back(site: Site, connect: Connect) -> None:
    async with connect(ONE) as one:
        body = {"variables": {"serial": "7"}}
        await one.ari.request("POST", "events/user/echo", {"application": ONE}, body=body)
        await until(lambda: one.named("ChannelUserevent"), "it comes back")
        event = one.named("ChannelUserevent")[0]
        assert (event["eventname"], event["userevent"]["serial"]) == ("echo", "7")


CONTRACTS: tuple[Contract, ...] = (
    one_alone_gets_an_offered_call,
    an_unclaimed_call_goes_on_without_us,
    channels_stay_with_an_application_that_is_gone,
    a_channel_is_moved_from_one_that_is_gone,
    one_that_is_alive_hears_that_it_lost_a_channel,
    a_channel_that_is_played_to_is_not_moved,
    a_stopped_playback_is_reported_and_gone,
    who_originated_a_channel_is_named_with_it,
    an_ended_channel_says_so_in_order,
    nobody_is_rung_for_a_caller_who_left,
    legs_leave_a_bridge_and_stay,
    a_caller_is_given_back_to_the_dialplan,
    what_is_not_there_is_not_found,
    an_event_for_oneself_comes_back,
)
