"""A controller's node and switch on a bare Asterisk; callers are Local channels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.cluster.leaked_channels import LeakedChannelReaper
from callcenter.telephony.asterisk.mixmonitor import MixMonitorRecorder
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.asterisk.switch import AsteriskSwitch
from tests.polling import until
from tests.protocol.bare_asterisk import SECRET, BareAsterisk


class ConnectedNode:
    """Node, switch and reaper of one controller."""

    def __init__(
        self, asterisk: BareAsterisk, ami: Ami, name: str = "line-1", *, ari_port: int | None = None
    ) -> None:
        """`ari_port`: where ARI is reached, if not at Asterisk itself."""
        self.ami = ami
        self.calls: list[Channel] = []
        settings = Settings(
            _env_file=None,
            var=asterisk.folder / "var",
            ari_port=ari_port or asterisk.ari_port,
        )
        self.node = AsteriskNode(settings, name, SECRET)
        self.channels = self.node.channels
        self.ari = self.node.ari
        self.switch = AsteriskSwitch(settings, self.node, MixMonitorRecorder(ami))
        self.reaper = LeakedChannelReaper(
            self.node.ari, self.node.membership, self.node.channels, interval=1.0
        )
        self.channels.on_call(self.calls.append)
        self.node.on_resynced(self.reaper.rescan)

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
        """Check that no channel, bridge, unanswered request or tracked channel is left."""
        for kind in ("channels", "bridges"):
            async with asyncio.timeout(10):
                while await self.ari.request("GET", kind):
                    await asyncio.sleep(0.01)
        # What the controller asks after a new connection may still be under way.
        await until(lambda: not self.ari.unanswered, "every request is answered")
        for channel in self.calls:
            self.channels.untrack(channel)
        assert self.channels.all() == []


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
async def answering(*controllers: ConnectedNode) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(work)
        for controller in controllers
        for work in (
            controller.ari.run(),
            controller.node.membership.run(),
            controller.reaper.run(),
        )
    ]
    try:
        await until(
            lambda: all(controller.ari.connected.is_set() for controller in controllers),
            "connected",
        )
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def called(
    controller: ConnectedNode, endpoint: str, caller: Channel, shown: str, timeout: float
) -> AsyncIterator[Channel]:
    """Originate a channel of any technology as the switch originates its own."""
    channel = controller.channels.new()
    # The switch counts the far half of a Local channel as ours: tracked, it is no leak.
    far_half = controller.channels.track(f"{channel.id};2")
    try:
        async with controller.switch.originate(channel, endpoint, caller, shown, timeout):
            yield channel
    finally:
        controller.channels.untrack(far_half)
