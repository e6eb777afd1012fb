"""The network between a controller and Asterisk is cut, with packets lost without a word.

docs/operations/failures.md tells operators what is seen here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
import pytest_asyncio

from callcenter.ledger.jobs import account_for_calls
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.jobs import Tools
from tests.calls.fragile import (
    both_hear,
    connected,
    ends_as_one_call,
    falls_back,
    has_calls,
    has_happened,
    held,
    sees,
    unbroken,
)
from tests.calls.house import House, running_controller, until
from tests.calls.network import ALONE, Network, network
from tests.calls.parts import Line, running_line
from tests.calls.stalls import Stalls
from tests.calls.talking import order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


@pytest.fixture
def way() -> Iterator[Network]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(network())
        except OSError as exc:
            pytest.skip(f"this machine lets nobody make a network: {exc}")
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def beyond(house: House, way: Network) -> AsyncIterator[Line]:
    """The controller line-1, on the other side of the network."""
    await house.switch.permit(way.address)
    async with running_line(house.settings, "line-1", before=way.enter) as line:
        yield line


@pytest.mark.parametrize("seconds", [1, 10, 60])
async def test_the_only_controller_goes_on_with_its_calls_when_the_network_is_back(
    house: House, way: Network, beyond: Line, seconds: int
) -> None:
    talks, waits, new = (f"+7702004{seconds:02}0{each}" for each in range(3))
    async with (
        house.softphone("201") as consultant,
        house.caller(talks) as caller,
        house.caller(waits) as waiting,
        Stalls() as stalls,
    ):
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await has_happened(house, talks, Moment.RECORDING_STARTED)
        await waiting.press("0")
        await has_happened(house, waits, Moment.WAITING)
        since = time.monotonic()
        way.cut()
        try:
            if seconds > 1:
                async with house.caller(new) as next_one:
                    await falls_back(house, next_one)
            await asyncio.sleep(max(0.0, since + seconds - time.monotonic()))
        finally:
            way.mend()
        await both_hear(caller, leg)
        unbroken(caller, leg, since, await held(house, talks, "201"), stalled=stalls.longest)
        await order(house, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        again = await consultant.next_call(30)
        await again.answer()
        await both_hear(waiting, again)
        await again.hang_up()
        await waiting.ended()
        appeals = [await house.appeal(number) for number in (talks, waits)]
        assert not beyond.has_ended
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 2
    for appeal in appeals:
        (recording,) = await house.recordings(appeal)
        assert recording.state == "closed"
    if seconds > 1:
        await account_for_calls(Tools(house.settings, house.engine), timedelta())
        assert (await house.appeal(new)).outcome == Outcome.FALLBACK


async def test_who_is_in_the_menu_or_hangs_up_while_the_network_is_cut_is_not_left_behind(
    house: House, way: Network, beyond: Line
) -> None:
    talks, chooses = "+77020042000", "+77020042001"
    async with house.softphone("201") as consultant:
        await consultant.register()
        async with house.caller(talks) as caller, house.caller(chooses) as choosing:
            leg = await connected(house, caller, consultant)
            await has_happened(house, talks, Moment.RECORDING_STARTED)
            await choosing.press("2")
            await house.hears(choosing, "ru", "emergency_hint")
            since = time.monotonic()
            way.cut()
            try:
                await caller.hang_up()
                await asyncio.sleep(max(0.0, since + 15 - time.monotonic()))
            finally:
                way.mend()
            await leg.ended(30)
            again = await consultant.next_call(40)
            await again.answer()
            await both_hear(choosing, again)
            await again.hang_up()
            await choosing.ended()
        appeals = [await house.appeal(number) for number in (talks, chooses)]
        assert not beyond.has_ended
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 2
    (recording,) = await house.recordings(appeals[0])
    assert recording.state == "closed"


async def test_one_of_another_machine_that_comes_back_after_its_calls_were_taken_over_ends(
    house: House, way: Network
) -> None:
    """Nobody there can kill it: what holds it back is that it finds itself fenced."""
    number = "+77020041000"
    await house.switch.permit(way.address)
    before = (*way.enter, *ALONE)
    async with (
        running_line(house.settings, "line-1", before=before) as line,
        house.softphone("201") as consultant,
        house.caller(number) as caller,
        running_controller(house.settings, "line-2", house.engine, house.redis) as peer,
        Stalls() as stalls,
    ):
        peer.channels.claiming = False
        await until(lambda: sees(peer, "line-1"), "the two know of each other")
        await consultant.register()
        leg = await connected(house, caller, consultant)
        await has_happened(house, number, Moment.RECORDING_STARTED)
        since = time.monotonic()
        way.cut()
        try:
            await until(lambda: has_calls(peer), "the other controller has the call")
            unbroken(caller, leg, since, await held(house, number, "201"), stalled=stalls.longest)
            assert not line.has_ended
            await asyncio.sleep(max(0.0, since + 10 - time.monotonic()))
        finally:
            way.mend()
        await until(lambda: has_ended(line), "the first one ends", 30)
        await ends_as_one_call(house, caller, leg, number)
    assert "another controller has taken over" in line.log.read_text()
    (recording,) = await house.recordings(await house.appeal(number))
    assert recording.state == "closed"


async def has_ended(line: Line) -> bool:
    return line.has_ended
