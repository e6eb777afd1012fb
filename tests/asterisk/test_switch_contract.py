"""The contract of a switch on a real Asterisk, which the simulated one keeps too."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from callcenter.telephony.asterisk.ami import Ami
from tests.asterisk.connected_node import place_call
from tests.protocol.bare_asterisk import CLAIM_TIMEOUT, SECRET, BareAsterisk
from tests.switch_contract import CONTRACTS, Contract, connected

SILENCE, LENGTH = b"\xd5", 60  # a sample of A-law; seconds, of 8000 each

pytestmark = pytest.mark.usefixtures("no_task_left")


class AsteriskSite:
    """A bare Asterisk, whose callers are Local channels."""

    endpoint = "Local/silence@line/n"
    claim_timeout = CLAIM_TIMEOUT

    def __init__(self, asterisk: BareAsterisk, ami: Ami) -> None:
        self.port = asterisk.ari_port
        self.sound = f"sound:{asterisk.folder}/long"
        (asterisk.folder / "long.alaw").write_bytes(SILENCE * 8000 * LENGTH)
        self._ami = ami

    async def call(self) -> None:
        await place_call(self._ami)

    async def leave(self, channel: Mapping[str, Any]) -> None:
        far_end = channel["name"].removesuffix(";2") + ";1"
        await self._ami.action({"Action": "Hangup", "Channel": far_end})


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each.__name__)
async def test_asterisk_keeps_the_contract(
    asterisk: BareAsterisk, ami: Ami, contract: Contract
) -> None:
    site = AsteriskSite(asterisk, ami)
    async with asyncio.timeout(60):
        await contract(site, partial(connected, site, password=SECRET))
