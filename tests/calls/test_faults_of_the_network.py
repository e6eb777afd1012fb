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

from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.calls.call_center import CallCenter, running_controller
from tests.calls.disposable_stack import (
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
from tests.calls.network import ALONE, Network, network
from tests.calls.processes import ControllerProgram, running_controller_program
from tests.calls.stall_meter import Stalls
from tests.calls.talking import order
from tests.polling import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


@pytest.fixture
def way() -> Iterator[Network]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(network())
        except OSError as exc:
            pytest.skip(f"this machine lets nobody make a network: {exc}")
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def beyond(call_center: CallCenter, way: Network) -> AsyncIterator[ControllerProgram]:
    """The controller line-1, on the other side of the network."""
    await call_center.switch.permit(way.address)
    async with running_controller_program(call_center.settings, "line-1", before=way.enter) as line:
        yield line


@pytest.mark.long
@pytest.mark.parametrize("seconds", [1, 10])
async def test_the_only_controller_continues_when_the_network_returns(
    call_center: CallCenter, way: Network, beyond: ControllerProgram, seconds: int, at_length: bool
) -> None:
    if at_length:
        seconds *= 6
    talks, waits, new = (f"+7702004{seconds:02}0{each}" for each in range(3))
    async with (
        call_center.softphone("201") as consultant,
        call_center.caller(talks) as caller,
        call_center.caller(waits) as waiting,
        Stalls() as stalls,
    ):
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, talks, CallEvent.RECORDING_STARTED)
        await waiting.press("0")
        await has_happened(call_center, waits, CallEvent.WAITING)
        since = time.monotonic()
        way.cut()
        try:
            if seconds > 1:
                async with call_center.caller(new) as next_one:
                    await falls_back(call_center, next_one)
            await asyncio.sleep(max(0.0, since + seconds - time.monotonic()))
        finally:
            way.mend()
        await both_hear(caller, leg)
        unbroken(caller, leg, since, await held(call_center, talks, "201"), stalled=stalls.longest)
        await order(call_center, "201", "resume")
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        again = await consultant.next_call(30)
        await again.answer()
        await both_hear(waiting, again)
        await again.hang_up()
        await waiting.ended()
        appeals = [await call_center.appeal(number) for number in (talks, waits)]
        assert not beyond.has_ended
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 2
    for appeal in appeals:
        (recording,) = await call_center.recordings(appeal)
        assert recording.state == "closed"
    if seconds > 1:
        await account_for_calls(
            WorkerResources(call_center.settings, call_center.engine), timedelta()
        )
        assert (await call_center.appeal(new)).outcome == Outcome.FALLBACK


async def test_nobody_is_left_behind_by_a_network_cut(
    call_center: CallCenter, way: Network, beyond: ControllerProgram
) -> None:
    talks, chooses = "+77020042000", "+77020042001"
    async with call_center.softphone("201") as consultant:
        await consultant.register()
        async with call_center.caller(talks) as caller, call_center.caller(chooses) as choosing:
            leg = await connected(call_center, caller, consultant)
            await has_happened(call_center, talks, CallEvent.RECORDING_STARTED)
            await choosing.press("2")
            await call_center.hears(choosing, "ru", "emergency_hint")
            since = time.monotonic()
            way.cut()
            try:
                await caller.hang_up()
                await asyncio.sleep(max(0.0, since + 10 - time.monotonic()))
            finally:
                way.mend()
            await leg.ended(30)
            again = await consultant.next_call(40)
            await again.answer()
            await both_hear(choosing, again)
            await again.hang_up()
            await choosing.ended()
        appeals = [await call_center.appeal(number) for number in (talks, chooses)]
        assert not beyond.has_ended
    assert [appeal.outcome for appeal in appeals] == [Outcome.TALKED] * 2
    (recording,) = await call_center.recordings(appeals[0])
    assert recording.state == "closed"


async def test_a_cut_off_controller_leaves_its_calls_to_another(
    call_center: CallCenter, way: Network
) -> None:
    """It lives, hears nothing while another hears Asterisk, and ends by itself."""
    number = "+77020041000"
    await call_center.switch.permit(way.address)
    before = (*way.enter, *ALONE)
    async with (
        running_controller_program(call_center.settings, "line-1", before=before) as line,
        call_center.softphone("201") as consultant,
        call_center.caller(number) as caller,
        running_controller(call_center.settings, "line-2") as peer,
        Stalls() as stalls,
    ):
        peer.node.stop_claiming()
        await until(lambda: sees(peer, "line-1"), "the two know of each other")
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
        since = time.monotonic()
        way.cut()
        try:
            await until(lambda: has_calls(peer), "the other controller has the call", 20)
            unbroken(
                caller, leg, since, await held(call_center, number, "201"), stalled=stalls.longest
            )
            await until(lambda: has_ended(line), "the first one ends", 30)
        finally:
            way.mend()
        await ends_as_one_call(call_center, caller, leg, number)
    assert "calls given up" in line.log.read_text()
    (recording,) = await call_center.recordings(await call_center.appeal(number))
    assert recording.state == "closed"


async def has_ended(line: ControllerProgram) -> bool:
    return line.has_ended
