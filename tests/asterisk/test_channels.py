"""Which channels are ours, on a real Asterisk: claims, what is left behind, what outlives a cut."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from callcenter.asterisk.ami import Ami, Fields
from callcenter.asterisk.ari import Gone, Refused, Unreachable
from callcenter.asterisk.channel import Channel
from callcenter.line.ports import LegLost
from tests.asterisk.line import Line, answering, called, place_call
from tests.protocol.bare_asterisk import BareAsterisk
from tests.protocol.polling import until
from tests.protocol.relay import Relay

pytestmark = pytest.mark.usefixtures("no_task_left")


@pytest.fixture
def hears_goodbyes(line: Line, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """While it is not set nothing that is to be ended reaches the switch."""
    ask, hears = line.ari.request, asyncio.Event()

    async def request(method: str, path: str, *rest: object, **more: object) -> object:
        if not hears.is_set() and method == "DELETE" and path.startswith(("channels/", "bridges/")):
            raise Unreachable("no answer")
        return await ask(method, path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(line.ari, "request", request)
    hears.set()
    return hears


async def test_what_could_not_be_ended_is_ended_all_the_same(
    line: Line, hears_goodbyes: asyncio.Event, told: list[Fields]
) -> None:
    call = await line.incoming()
    await call.answer()
    async with (
        called(line, "Local/silence@line/n", call, "111", 10) as other,
        line.board.overheard(call, other, whispering=False),
    ):
        (ear,) = line.channels._channels.keys() - {call.id, other.id, f"{other.id};2"}
        hears_goodbyes.clear()
    await call.hang_up()
    line.channels.forget(call)
    assert line.channels.ending >= {call.id, other.id, ear}
    hears_goodbyes.set()
    await line.nothing_is_left()
    await until(lambda: not line.channels.ending, "nothing more is to end")
    assert told == [], "a caller whose call was over is served no more"


async def test_a_leg_that_the_switch_made_after_it_was_given_up_is_hung_up(line: Line) -> None:
    channel = line.channels.new()
    line.channels.forget(channel)
    for endpoint in ("Local/ringing@line/n", "Local/silence@line/n"):
        query = {"endpoint": endpoint, "app": line.ari.application}
        await line.ari.request("POST", f"channels/{channel.id}", query)
        await line.nothing_is_left()


async def test_two_controllers_each_call_is_claimed_once_and_the_loser_is_told(
    asterisk: BareAsterisk, ami: Ami
) -> None:
    lines = [Line(asterisk, ami, name) for name in ("line-1", "line-2")]
    async with answering(*lines):
        for _ in range(20):
            await place_call(ami)

        def claimed() -> list[str]:
            return [call.id for line in lines for call in line.calls]

        await until(lambda: len(claimed()) >= 20, "every call is claimed")
        assert len(set(claimed())) == len(claimed()) == 20
        first = (lines[0].calls or lines[1].calls)[0]
        for line in lines:
            claim = {"channelId": first.id, "application": line.ari.application}
            with pytest.raises((Gone, Refused)) as refused:
                await line.ari.request("POST", "events/claim", claim)
            if isinstance(refused.value, Refused):
                assert refused.value.status == 409
        for line in lines:
            for call in line.calls:
                await call.hang_up()
        for line in lines:
            await line.nothing_is_left()


@pytest.mark.parametrize("connected", [True, False])
async def test_a_call_that_nobody_claims_goes_on_in_the_dialplan(
    asterisk: BareAsterisk, ami: Ami, told: list[Fields], connected: bool
) -> None:
    idle = Line(asterisk, ami)
    idle.channels.claiming = False
    async with AsyncExitStack() as stack:
        if connected:
            await stack.enter_async_context(answering(idle))
        await place_call(ami)
        await until(lambda: told, "the dialplan goes on")
    assert told[0]["Status"] == "TIMEOUT"
    assert idle.calls == []


async def test_a_call_whose_asterisk_died_is_lost_not_hung_up(
    asterisk: BareAsterisk, line: Line
) -> None:
    call = await line.incoming()
    await call.answer()
    waiting = asyncio.create_task(call.gone())
    await asterisk.kill()
    await asterisk.start()
    with pytest.raises(LegLost):
        await asyncio.wait_for(waiting, 20)
    with pytest.raises(LegLost):
        await call.answer()


async def lost(call: Channel) -> None:
    with suppress(LegLost):
        await call.gone()


async def test_a_hang_up_that_was_missed_during_a_cut_is_noticed_afterwards(
    asterisk: BareAsterisk, ami: Ami
) -> None:
    relay = Relay(asterisk.ari_port)
    server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    line = Line(asterisk, ami)
    line.ari._url = line.ari._url.replace(
        str(asterisk.ari_port), str(server.sockets[0].getsockname()[1])
    )
    async with server, answering(line):
        call = await line.incoming()
        await call.answer()
        relay.cut()
        await line.caller_hangs_up(call)
        await asyncio.wait_for(lost(call), 20)
        await line.nothing_is_left()
    await until(lambda: len(asyncio.all_tasks()) <= 3, "the relay's ends are closed")
