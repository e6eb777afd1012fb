"""Calls by ARI on a real Asterisk: hang-ups at every moment, claims, and what outlives a cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from callcenter.asterisk.ami import Ami, Fields
from callcenter.asterisk.ari import Gone, Refused, Unreachable
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.channels import Channels
from callcenter.asterisk.recorder import Recorder
from callcenter.asterisk.strays import Strays
from callcenter.asterisk.switchboard import Switchboard
from callcenter.line.ports import LegGone, LegLost, NotAnswered, RecordingUnproved
from callcenter.settings import Settings
from tests.protocol.bare_asterisk import SECRET, USER, BareAsterisk
from tests.protocol.polling import until
from tests.protocol.relay import Relay

pytestmark = pytest.mark.usefixtures("no_task_left")


class Line:
    """A controller's switchboard on a bare Asterisk; callers are Local channels."""

    def __init__(self, asterisk: BareAsterisk, ami: Ami, name: str = "line-1") -> None:
        self.ami = ami
        self.calls: list[Channel] = []
        settings = Settings(ari_port=asterisk.ari_port)
        self.channels = Channels(settings, name, SECRET, self.calls.append, self.take_over)
        self.ari = self.channels.ari
        self.board = Switchboard(settings, self.channels, Recorder(ami))
        self.strays = Strays(self.channels, every=1.0)

    async def take_over(self, life: str, in_order: bool) -> None:
        """Nothing: who is dead here left no calls."""

    async def incoming(self) -> Channel:
        """A call that was offered, claimed and has not been answered yet."""
        before = len(self.calls)
        await place_call(self.ami)
        await until(lambda: len(self.calls) > before, "the call is ours")
        return self.calls[-1]

    async def caller_hangs_up(self, channel: Channel) -> None:
        far_end = channel.name.removesuffix(";2") + ";1"
        await self.ami.action({"Action": "Hangup", "Channel": far_end})

    async def nothing_is_left(self) -> None:
        """No channel, bridge, unanswered request or kept channel."""
        for kind in ("channels", "bridges"):
            async with asyncio.timeout(10):
                while await self.ari.request("GET", kind):
                    await asyncio.sleep(0.01)
        # What the controller asks after a new connection may still be under way.
        await until(lambda: not self.ari._pending, "every request is answered")
        for channel in self.calls:
            self.channels.forget(channel)
        assert self.channels._channels == {}


async def place_call(ami: Ami) -> None:
    await ami.action(
        {
            "Action": "Originate",
            "Channel": "Local/offer@line/n",
            "Context": "line",
            "Exten": "silence",
            "Priority": "1",
            "Async": "true",
        }
    )


@pytest.fixture
async def told() -> list[Fields]:
    """What the dialplan told after Stasis."""
    return []


@pytest.fixture
async def ami(asterisk: BareAsterisk, told: list[Fields]) -> AsyncIterator[Ami]:
    async with Ami(
        port=asterisk.ami_port, user=USER, secret=SECRET, events={"UserEvent": told.append}
    ) as connected:
        await connected.ready(20)
        yield connected


@asynccontextmanager
async def answering(*lines: Line) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(work)
        for line in lines
        for work in (line.ari.run(), line.channels.lives.run(), line.strays.run())
    ]
    try:
        await until(lambda: all(line.ari.connected.is_set() for line in lines), "connected")
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def line(asterisk: BareAsterisk, ami: Ami) -> AsyncIterator[Line]:
    one = Line(asterisk, ami)
    async with answering(one):
        yield one


@pytest.fixture
def sound(tmp_path: Path) -> str:
    """A fifth of a second of sound, as ARI names it."""
    (tmp_path / "short.sln").write_bytes(b"\x00\x10\x00\xf0" * 800)
    return f"sound:{tmp_path}/short"


async def test_an_event_may_come_before_the_answer_to_the_request_that_caused_it(
    line: Line,
) -> None:
    """Ids are ours and are listened for before asking, so no StasisStart is missed."""

    async def call() -> None:
        async with called(line, "Local/silence@line/n", await line.incoming(), "111", 10):
            pass

    for _ in range(20):
        await call()
        await line.calls[-1].hang_up()
    await line.nothing_is_left()


async def over_and_over(operation: Callable[[], Awaitable[object]]) -> None:
    while True:
        await operation()


@pytest.mark.parametrize("operation", ["answer", "play", "key", "music"])
async def test_a_hang_up_during_an_operation_ends_it_and_every_later_one(
    line: Line, sound: str, operation: str
) -> None:
    async def music(call: Channel) -> None:
        async with call.music():
            await call.key(0.01)

    for _ in range(10):
        call = await line.incoming()
        await call.answer()
        operations: dict[str, Callable[[], Awaitable[object]]] = {
            "answer": call.answer,
            "play": lambda call=call: call.play([sound]),  # type: ignore[misc]
            "key": lambda call=call: call.key(30),  # type: ignore[misc]
            "music": lambda call=call: music(call),  # type: ignore[misc]
        }
        running = asyncio.create_task(over_and_over(operations[operation]))
        await asyncio.sleep(0)
        await line.caller_hangs_up(call)
        with pytest.raises(LegGone):
            await asyncio.wait_for(running, 10)
        with pytest.raises(LegGone):
            await operations[operation]()
        await call.gone()
        await call.hang_up()
    await line.nothing_is_left()


async def test_a_hang_up_while_a_telephone_rings_leaves_no_ringing_telephone(line: Line) -> None:
    async def ring(call: Channel) -> None:
        async with called(line, "Local/ringing@line/n", call, "111", 30):
            raise AssertionError("nobody answers")

    for _ in range(10):
        call = await line.incoming()
        ringing = asyncio.create_task(ring(call))
        await asyncio.sleep(0)
        await line.caller_hangs_up(call)
        await call.gone()
        ringing.cancel()
        await asyncio.gather(ringing, return_exceptions=True)
    await line.nothing_is_left()


@pytest.mark.parametrize(
    ("extension", "reason"), [("busy", "busy"), ("declines", "refused"), ("ringing", "no_answer")]
)
async def test_a_telephone_that_is_not_answered_says_why(
    line: Line, extension: str, reason: str
) -> None:
    call = await line.incoming()
    with pytest.raises(NotAnswered, match=reason):
        async with called(line, f"Local/{extension}@line/n", call, "111", 1):
            raise AssertionError("nobody answers")
    await call.hang_up()
    await line.nothing_is_left()


@pytest.mark.parametrize("who", ["caller", "consultant"])
async def test_a_hang_up_while_two_are_being_connected_leaves_no_bridge(
    line: Line, who: str
) -> None:
    async def talk(call: Channel, other: Channel) -> None:
        async with line.board.connected(call, other):
            await asyncio.sleep(0)

    for _ in range(10):
        call = await line.incoming()
        await call.answer()
        async with called(line, "Local/silence@line/n", call, "111", 10) as other:
            talking = asyncio.create_task(over_and_over(lambda a=call, b=other: talk(a, b)))  # type: ignore[misc]
            await asyncio.sleep(0)
            if who == "caller":
                await line.caller_hangs_up(call)
            else:
                await line.ami.action({"Action": "Hangup", "Channel": other.name})
            with pytest.raises(LegGone if who == "caller" else NotAnswered):
                await asyncio.wait_for(talking, 10)
        await call.hang_up()
    await line.nothing_is_left()


async def test_a_prompt_right_after_a_conversation_is_played_each_time(
    line: Line, tmp_path: Path
) -> None:
    """What is played while a bridge is being destroyed Asterisk may forget without a word."""
    (tmp_path / "click.sln").write_bytes(b"\x00\x10\x00\xf0" * 80)
    call = await line.incoming()
    await call.answer()
    async with called(line, "Local/silence@line/n", call, "111", 10) as other:
        for _ in range(50):
            async with line.board.connected(call, other):
                pass
            async with asyncio.timeout(5):
                await call.play([f"sound:{tmp_path}/click"])
    await call.hang_up()
    await line.nothing_is_left()


@asynccontextmanager
async def called(
    line: Line, endpoint: str, caller: Channel, shown: str, timeout: float
) -> AsyncIterator[Channel]:
    """A channel of any technology that the switchboard calls as it calls its own parties."""
    channel = line.channels.new()
    async with line.board._called(channel, endpoint, caller, shown, timeout):
        yield channel


@pytest.mark.parametrize("given_up_at", ["channels/called-", "bridges", "/addChannel"])
async def test_giving_up_while_a_request_is_under_way_leaves_nothing_of_what_it_did(
    line: Line, monkeypatch: pytest.MonkeyPatch, given_up_at: str
) -> None:
    async def talk(call: Channel) -> None:
        async with (
            called(line, "Local/silence@line/n", call, "111", 10) as other,
            line.board.connected(call, other),
        ):
            await call.gone()

    ask = line.ari.request

    async def request(method: str, path: str, *rest: object, **more: object) -> object:
        if method == "POST" and given_up_at in path and not talking.cancelling():
            asyncio.get_running_loop().call_soon(talking.cancel)
        return await ask(method, path, *rest, **more)  # type: ignore[arg-type]

    call = await line.incoming()
    await call.answer()
    monkeypatch.setattr(line.ari, "request", request)
    talking = asyncio.create_task(talk(call))
    with pytest.raises(asyncio.CancelledError):
        await talking
    await call.hang_up()
    await line.nothing_is_left()


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
        (ear,) = line.channels._channels.keys() - {call.id, other.id}
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


async def test_a_hang_up_while_recording_starts_or_runs_leaves_a_closed_file_or_none(
    line: Line, tmp_path: Path
) -> None:
    for attempt in range(10):
        file = tmp_path / f"{attempt}.raw"
        call = await line.incoming()
        await call.answer()
        starting = asyncio.create_task(line.board.start_recording(call, file))
        hanging_up = asyncio.create_task(line.caller_hangs_up(call))
        with suppress(RecordingUnproved):
            await starting
            await line.board.stop_recording(call, file)
        await hanging_up
        await call.gone()
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
