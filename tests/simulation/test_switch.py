"""The contract of a switch on the simulated one, which the real Asterisk keeps too."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from tests.seeds import SeededRandom
from tests.simulation.host import Host, SimulatedProcess
from tests.simulation.kernel import Kernel
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network, SessionFactory
from tests.simulation.outside import discard, replaced, without_collection
from tests.simulation.servers import Database
from tests.simulation.switch import CLAIM_TIMEOUT, SimulatedSwitch, SwitchChannel
from tests.switch_contract import CONTRACTS, Contract, connected

LIMIT = 60.0  # seconds of virtual time


class Answering:
    """Somebody who answers at once, and does nothing else; also a caller."""

    is_busy = False

    def __init__(self, switch: SimulatedSwitch) -> None:
        self._switch = switch

    def rings(self, channel: SwitchChannel) -> None:
        self._switch.loop.outside_after(0.01, self._switch.answer, channel)

    def hears(self, channel: SwitchChannel, sounds: Sequence[str]) -> None: ...

    def is_connected(self, channel: SwitchChannel, other: SwitchChannel) -> None: ...

    def falls_back(self, channel: SwitchChannel, why: str) -> None: ...

    def has_ended(self, channel: SwitchChannel) -> None: ...


class SimulatedSite:
    """The simulated switch, and somebody who calls."""

    port = 0
    endpoint = "Local/silence@line/n"
    claim_timeout = CLAIM_TIMEOUT
    sound = "tone:busy"

    def __init__(self, switch: SimulatedSwitch) -> None:
        self._switch = switch
        self._party = Answering(switch)
        switch.telephones["silence@line"] = self._party

    async def call(self) -> None:
        self._switch.loop.outside_after(0.0, self._switch.call, "+77010000001", self._party)
        await asyncio.sleep(0.01)

    async def leave(self, channel: Mapping[str, Any]) -> None:
        found = self._switch.channels.get(channel["id"])
        if found is not None:
            self._switch.loop.outside_after(0.0, self._switch.hang_up, found)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.__name__)
def test_the_simulated_switch_keeps_the_contract(contract: Contract) -> None:
    loop, kernel = VirtualLoop(), Kernel()
    host = Host(loop, kernel, SeededRandom("host"))
    network = Network(loop, SeededRandom("network"))
    switch = SimulatedSwitch(loop)
    site = SimulatedSite(switch)
    sessions = SessionFactory(network, switch)
    product = SeededRandom("product")
    with (
        without_collection(),
        replaced(loop, kernel, host, sessions, Database(network), product),
    ):
        process = SimulatedProcess(host, "line-1", 0.0)
        work = contract(site, partial(connected, site, password="secret"))
        done = process.start(_finish(work))
        loop.run_until(loop.now + LIMIT)
        try:
            assert done.done(), "it takes too long"
            done.result()
        finally:
            discard(loop)


async def _finish(work: Any) -> None:
    await work
