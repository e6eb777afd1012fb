"""Who hears nothing of Asterisk, stands still or is leaving does not say that it is ready."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callcenter.settings import Settings
from callcenter.up.observed import metrics_port
from tests.calls.ailing import BLOCKABLE, block
from tests.calls.fragile import both_hear, connected
from tests.calls.house import House
from tests.calls.parts import Announced, running_line, to_be_watched
from tests.calls.relays import EventRelay, passed_on, relayed_ari, swallowed
from tests.calls.test_watched import asked, is_ready, metrics

pytestmark = pytest.mark.asyncio(loop_scope="session")


def port_of(settings: Settings, name: str) -> int:
    port = metrics_port(settings, name)
    assert port is not None
    return port


@asynccontextmanager
async def relayed(house: House) -> AsyncIterator[tuple[EventRelay, Settings]]:
    """What a process hears of Asterisk by, and the settings of one that tells how it is."""
    async with relayed_ari(house) as (relay, settings):
        yield relay, to_be_watched(settings)


@pytest.mark.parametrize("fault", ["deaf", "half open"])
@pytest.mark.parametrize("name", ["line-1", "watchdog"])
async def test_who_hears_nothing_of_asterisk_is_alive_and_not_ready(
    fragile: House, name: str, fault: str
) -> None:
    async with relayed(fragile) as (relay, settings):
        arguments = ("line", "--name", name) if name != "watchdog" else (name,)
        process, port = Announced(settings, name, *arguments), port_of(settings, name)
        await process.start()
        try:
            await is_ready(port, 200)
            if fault == "deaf":
                relay.fate = swallowed
            else:
                relay.flows.clear()
            await is_ready(port, 503)
            for _ in range(10):  # nor while it connects again and again
                assert (await asked(port, "/ready"))[0] == 503
                await asyncio.sleep(0.3)
            assert (await asked(port, "/live"))[0] == 200
            assert (await metrics(port))["callcenter_events_behind_seconds", ""] > 2
            relay.fate = passed_on
            relay.flows.set()
            await is_ready(port, 200)
        finally:
            await process.kill(signal.SIGTERM)


async def test_one_that_stands_still_does_not_look_alive(fragile: House) -> None:
    settings = to_be_watched(fragile.settings)
    port = port_of(settings, "line-1")
    async with running_line(settings, "line-1", program=BLOCKABLE) as line:
        await is_ready(port, 200)
        block(line)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asked(port, "/live")
        await is_ready(port, 200)


async def test_the_last_one_that_serves_who_talks_to_the_end_is_not_ready_for_others(
    fragile: House,
) -> None:
    house = fragile
    settings = to_be_watched(house.settings)
    port = port_of(settings, "line-1")
    async with (
        running_line(settings, "line-1") as line,
        house.softphone("201") as consultant,
        house.caller("+77020000520") as caller,
    ):
        await consultant.register()
        leg = await connected(house, caller, consultant)
        line.send(signal.SIGTERM)
        await is_ready(port, 503)
        assert (await asked(port, "/live"))[0] == 200
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await line.ended()
