"""Asterisk dies under a conversation: its caller is called back when a consultant decides so."""

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from callcenter.appeals import cut_off
from callcenter.line.outcomes import Moment, Outcome
from callcenter.storage.engine import unit_of_work
from callcenter.up.observed import metrics_port
from tests.calls.fragile import both_hear, connected, has_happened
from tests.calls.house import House, until
from tests.calls.parts import running_line, to_be_watched
from tests.calls.test_ring_back import ask
from tests.calls.test_watched import is_ready

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def house(fragile: House) -> House:
    return fragile


async def to_decide(house: House, among: Collection[str]) -> list[str]:
    """Those of these appeals that wait: other tests leave callers cut off in the same house."""
    async with unit_of_work(house.engine) as connection:
        waiting = await cut_off.waiting(connection, datetime.now(UTC))
    return [each.appeal for each in waiting if each.appeal in among]


async def test_only_who_talked_is_to_be_called_back_by_a_telephone_that_is_there_by_itself(
    house: House,
) -> None:
    numbers = ["+77020500001", "+77020500002"]
    settings = to_be_watched(house.settings)
    port = metrics_port(settings, "line-1")
    assert port is not None
    async with (
        running_line(settings, "line-1"),
        house.consultant("201") as consultant,
        house.caller(numbers[0]) as talking,
        house.caller(numbers[1]) as choosing,
    ):
        leg = await connected(house, talking, consultant)
        await has_happened(house, numbers[0], Moment.RECORDING_STARTED)
        await house.switch.kill()
        for call in (talking, choosing, leg):
            call.drop()
        await house.switch.start()
        appeals = [await house.appeal(number) for number in numbers]
        assert {appeal.outcome for appeal in appeals} == {Outcome.LOST_TO_A_FAULT}
        ours = {appeal.number for appeal in appeals}
        assert await to_decide(house, ours) == [appeals[0].number]

        async def is_free() -> bool:  # though the telephone has not said a word since
            return await house.redis.zscore("desk:idle", "201") is not None

        await until(is_free, "201 is free", 30)
        assert appeals[0].ended_at is not None
        async with house.network(numbers[0]) as telephone:
            # On a busy machine a switch that has just begun answers late, and nobody takes an
            # order before it is sure that it hears the switch.
            await is_ready(port, 200)
            await ask(house, appeal=appeals[0].number)
            leg = await consultant.next_call(20)
            await leg.answer()
            called = await telephone.next_call()
            await called.answer()
            await house.hears(called, "kk", "called_notice")
            await both_hear(called, leg)
            await leg.hang_up()
            await called.ended()

        async def is_decided() -> bool:
            return await to_decide(house, ours) == []

        await until(is_decided, "who was called back needs no decision")
