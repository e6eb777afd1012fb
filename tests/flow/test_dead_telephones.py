"""Each death of a telephone in each state of a conversation: who has the caller then?

How the monitor and the channel see it is real; the conversation is that of a story.
"""

import pytest

from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import NotAnswered
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.scenarios import run_story
from tests.flow.story import Story
from tests.flow.telephone_deaths import THIRD_PARTY, of_each_alone, of_each_beside

pytestmark = pytest.mark.usefixtures("each_death")

NEXT = ""  #: the consultant whom the caller gets next


async def _die(keys: str, *others: str | NotAnswered) -> FakeTelephony:
    """What became of a caller whose consultant pressed these keys (the last one: died)."""
    story = Story({"lang_choice": "0"}, consultants=[keys, *others], network=[THIRD_PARTY])
    telephony = FakeTelephony(story)
    assert await run_story(telephony) == Outcome.TALKED
    return telephony


@of_each_alone
async def test_a_caller_left_alone_hears_so_and_goes_first(
    keys: str, others: tuple[str | NotAnswered, ...]
) -> None:
    telephony = await _die(keys, *others, NEXT)
    assert "kk/consultant_lost" in telephony.leg.heard
    assert telephony.urgent_places == [False, True]
    assert CallEvent.CONSULTANT_LOST in telephony.record.events


@of_each_beside
async def test_a_caller_with_a_third_party_goes_on_with_it(
    keys: str, others: tuple[str | NotAnswered, ...]
) -> None:
    telephony = await _die(keys, *others)
    assert "kk/consultant_lost" not in telephony.leg.heard
    assert telephony.urgent_places == [False]
    assert {CallEvent.TRANSFERRED, CallEvent.LEFT_OUTSIDE} & set(telephony.record.events)


@pytest.mark.parametrize(
    "keys", ["*2201#      *9 ", "*2201# *8      "], ids=["third party dies", "third dies"]
)
async def test_a_dead_third_party_leaves_the_caller_to_the_consultant(keys: str) -> None:
    telephony = await _die(keys, "  !")
    assert "kk/consultant_lost" not in telephony.leg.heard
    assert telephony.urgent_places == [False]
    assert CallEvent.THIRD_PARTY_FAILED in telephony.record.events
