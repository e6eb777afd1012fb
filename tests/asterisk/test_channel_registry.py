"""ChannelRegistry on a real Asterisk: claims, leaks, and channels that outlive a cut."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from callcenter.telephony.asterisk.ami import Ami, Fields
from callcenter.telephony.asterisk.ari import AriRequestFailed, AriUnavailable, ChannelNotFound
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.resource_ids import ORIGINATED_PREFIX
from callcenter.telephony.calls.ports import LegLost
from tests.asterisk.connected_node import ConnectedNode, answering, called, place_call
from tests.calls.tcp_proxies import EventRelay, passed_on, swallowed
from tests.polling import until
from tests.protocol.bare_asterisk import BareAsterisk
from tests.protocol.relay import Relay
from tests.streams import port_of, stream_server

pytestmark = pytest.mark.usefixtures("no_task_left")


@pytest.fixture
def hears_goodbyes(controller: ConnectedNode, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """While it is not set nothing that is to be ended reaches the switch."""
    ask, hears = controller.ari.request, asyncio.Event()

    async def request(method: str, path: str, *rest: object, **more: object) -> object:
        if not hears.is_set() and method == "DELETE" and path.startswith(("channels/", "bridges/")):
            raise AriUnavailable("no answer")
        return await ask(method, path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(controller.ari, "request", request)
    hears.set()
    return hears


async def test_what_could_not_be_ended_is_ended_all_the_same(
    controller: ConnectedNode, hears_goodbyes: asyncio.Event, user_events: list[Fields]
) -> None:
    call = await controller.incoming()
    await call.answer()
    async with (
        called(controller, "Local/silence@line/n", call, "111", 10) as other,
        controller.switch.snoop(call, other, whispering=False),
    ):
        (ear,) = {each.id for each in controller.channels.all()} - {
            call.id,
            other.id,
            f"{other.id};2",
        }
        hears_goodbyes.clear()
    await call.hang_up()
    controller.channels.untrack(call)
    assert controller.channels.ending >= {call.id, other.id, ear}
    hears_goodbyes.set()
    await controller.nothing_is_left()
    await until(lambda: not controller.channels.ending, "nothing more is to end")
    assert user_events == [], "a caller whose call was over is served no more"


async def test_a_leg_made_after_it_was_abandoned_is_hung_up(
    controller: ConnectedNode,
) -> None:
    channel = controller.channels.new()
    controller.channels.untrack(channel)
    for endpoint in ("Local/ringing@line/n", "Local/silence@line/n"):
        query = {"endpoint": endpoint, "app": controller.ari.application}
        await controller.ari.request("POST", f"channels/{channel.id}", query)
        await controller.nothing_is_left()


async def test_each_call_is_claimed_once_and_the_loser_learns_it(
    asterisk: BareAsterisk, ami: Ami
) -> None:
    controllers = [ConnectedNode(asterisk, ami, name) for name in ("line-1", "line-2")]
    async with answering(*controllers):
        for _ in range(20):
            await place_call(ami)

        def claimed() -> list[str]:
            return [call.id for controller in controllers for call in controller.calls]

        await until(lambda: len(claimed()) >= 20, "every call is claimed")
        assert len(set(claimed())) == len(claimed()) == 20
        first = (controllers[0].calls or controllers[1].calls)[0]
        for controller in controllers:
            claim = {"channelId": first.id, "application": controller.ari.application}
            with pytest.raises((ChannelNotFound, AriRequestFailed)) as refused:
                await controller.ari.request("POST", "events/claim", claim)
            if isinstance(refused.value, AriRequestFailed):
                assert refused.value.status == 409
        for controller in controllers:
            for call in controller.calls:
                await call.hang_up()
        for controller in controllers:
            await controller.nothing_is_left()


@pytest.mark.parametrize("connected", [True, False])
async def test_a_call_that_nobody_claims_goes_on_in_the_dialplan(
    asterisk: BareAsterisk, ami: Ami, user_events: list[Fields], connected: bool
) -> None:
    idle = ConnectedNode(asterisk, ami)
    idle.node.stop_claiming()
    async with AsyncExitStack() as stack:
        if connected:
            await stack.enter_async_context(answering(idle))
        await place_call(ami)
        await until(lambda: user_events, "the dialplan goes on")
    assert user_events[0]["Status"] == "TIMEOUT"
    assert idle.calls == []


async def test_a_call_whose_asterisk_died_is_lost_not_hung_up(
    asterisk: BareAsterisk, controller: ConnectedNode
) -> None:
    call, file = await controller.incoming(), asterisk.folder / "spool" / "lost.raw"
    await call.answer()
    await controller.switch.start_recording(call, file)
    waiting = asyncio.create_task(call.wait_hangup())
    await asterisk.kill()
    await asterisk.start()
    with pytest.raises(LegLost):
        await asyncio.wait_for(waiting, 20)
    with pytest.raises(LegLost):
        await call.answer()
    assert file.stat().st_size == 0, "nobody knows what it had not written yet"
    assert not await controller.switch.stop_recording(call, file), "it is not called empty"


async def lost(call: Channel) -> None:
    with suppress(LegLost):
        await call.wait_hangup()


@asynccontextmanager
async def connected_by(
    relay: Relay | EventRelay, asterisk: BareAsterisk, ami: Ami
) -> AsyncIterator[ConnectedNode]:
    """A controller that reaches ARI by this relay."""
    async with stream_server(relay.carry) as server:
        controller = ConnectedNode(asterisk, ami, ari_port=port_of(server))
        async with answering(controller):
            yield controller


async def test_a_hangup_missed_during_a_cut_is_noticed_afterwards(
    asterisk: BareAsterisk, ami: Ami
) -> None:
    relay = Relay(asterisk.ari_port)
    async with connected_by(relay, asterisk, ami) as controller:
        call = await controller.incoming()
        await call.answer()
        relay.cut()
        await controller.caller_hangs_up(call)
        await asyncio.wait_for(lost(call), 20)
        await controller.nothing_is_left()


async def test_an_answer_that_was_not_heard_of_is_noticed_afterwards(
    asterisk: BareAsterisk, ami: Ami
) -> None:
    relay = EventRelay(asterisk.ari_port)
    async with connected_by(relay, asterisk, ami) as controller:
        caller = await controller.incoming()
        relay.fate = swallowed
        calling = called(controller, "Local/milliwatt@line/n", caller, "111", 30)
        ringing = asyncio.create_task(calling.__aenter__())
        async with asyncio.timeout(10):
            while not any(map(is_called_and_up, await controller.ari.request("GET", "channels"))):
                await asyncio.sleep(0.01)
        relay.fate = passed_on
        await controller.ari.connect_again()
        async with asyncio.timeout(10):
            await ringing
        await calling.__aexit__(None, None, None)
        await caller.hang_up()
        await controller.nothing_is_left()


def is_called_and_up(channel: Mapping[str, Any]) -> bool:
    is_first_half = channel["id"].startswith(ORIGINATED_PREFIX) and channel["id"][-2:] != ";2"
    return is_first_half and bool(channel["dialplan"]["app_name"] == "Stasis")
