"""Asterisk dies under a conversation: its caller is called back when a consultant decides so."""

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from callcenter.appeals.calls import dropped_calls
from callcenter.platform.monitoring.metrics_server import metrics_port
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import both_hear, connected, has_happened
from tests.calls.processes import running_controller_program, to_be_watched
from tests.calls.test_ring_back import ask
from tests.calls.test_watched import is_ready
from tests.polling import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def call_center(disposable: CallCenter) -> CallCenter:
    return disposable


async def to_decide(call_center: CallCenter, among: Collection[str]) -> list[str]:
    """Those of these appeals that wait: other tests of this call center leave callers cut off."""
    async with unit_of_work(call_center.engine) as connection:
        waiting = await dropped_calls.list_undecided(connection, datetime.now(UTC))
    return [each.appeal for each in waiting if each.appeal in among]


async def test_only_talks_ended_by_a_dead_telephone_are_called_back(
    call_center: CallCenter,
) -> None:
    numbers = ["+77020500001", "+77020500002"]
    settings = to_be_watched(call_center.settings)
    port = metrics_port(settings, "line-1")
    assert port is not None
    async with (
        running_controller_program(settings, "line-1"),
        call_center.consultant("201") as consultant,
        call_center.caller(numbers[0]) as talking,
        call_center.caller(numbers[1]) as choosing,
    ):
        leg = await connected(call_center, talking, consultant)
        await has_happened(call_center, numbers[0], CallEvent.RECORDING_STARTED)
        await call_center.switch.kill()
        for call in (talking, choosing, leg):
            call.drop()
        await call_center.switch.start()
        appeals = [await call_center.appeal(number) for number in numbers]
        assert {appeal.outcome for appeal in appeals} == {Outcome.LOST_TO_A_FAULT}
        ours = {appeal.number for appeal in appeals}
        assert await to_decide(call_center, ours) == [appeals[0].number]

        async def is_free() -> bool:  # though the telephone has not said a word since
            return await call_center.redis.zscore("desk:idle", "201") is not None

        await until(is_free, "201 is free", 30)
        assert appeals[0].ended_at is not None
        async with call_center.network(numbers[0]) as telephone:
            # On a busy machine a switch that has just begun answers late, and nobody takes an
            # order before it is sure that it hears the switch.
            await is_ready(port, 200)
            await ask(call_center, appeal=appeals[0].number)
            leg = await consultant.next_call(20)
            await leg.answer()
            called = await telephone.next_call()
            await called.answer()
            await call_center.hears(called, "kk", "called_notice")
            await both_hear(called, leg)
            await leg.hang_up()
            await called.ended()

        async def is_decided() -> bool:
            return await to_decide(call_center, ours) == []

        await until(is_decided, "who was called back needs no decision")
