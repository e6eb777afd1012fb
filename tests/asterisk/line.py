"""A controller's channels and switchboard on a bare Asterisk; callers are Local channels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callcenter.asterisk.ami import Ami
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.channels import Channels
from callcenter.asterisk.recorder import Recorder
from callcenter.asterisk.strays import Strays
from callcenter.asterisk.switchboard import Switchboard
from callcenter.settings import Settings
from tests.protocol.bare_asterisk import SECRET, BareAsterisk
from tests.protocol.polling import until


class Line:
    """One controller."""

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


@asynccontextmanager
async def called(
    line: Line, endpoint: str, caller: Channel, shown: str, timeout: float
) -> AsyncIterator[Channel]:
    """A channel of any technology that the switchboard calls as it calls its own parties."""
    channel = line.channels.new()
    # The switch counts the far half of a Local channel as ours: kept, it is no stray.
    far_half = line.channels.keep(f"{channel.id};2")
    try:
        async with line.board._called(channel, endpoint, caller, shown, timeout):
            yield channel
    finally:
        line.channels.forget(far_half)
