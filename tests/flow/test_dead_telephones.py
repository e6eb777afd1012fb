"""Each death of a telephone in each state of a conversation: who has the caller then?

How the monitor and the channel see it is real; the conversation is that of a story.
"""

import pytest

from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.calls.ports import NotAnswered
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.scenarios import LATE, run_story
from tests.flow.story import Story

pytestmark = pytest.mark.usefixtures("each_death")

THIRD_PARTY, NEXT = (
    "          ",
    "",
)  # one who stays for a while; the consultant whom the caller gets next


async def _die(keys: str, *others: str | NotAnswered) -> FakeTelephony:
    """What became of a caller whose consultant pressed these keys (the last one: died)."""
    story = Story({"lang_choice": "0"}, consultants=[keys, *others], network=[THIRD_PARTY])
    telephony = FakeTelephony(story)
    assert await run_story(telephony) == Outcome.TALKED
    return telephony


@pytest.mark.parametrize(
    ("keys", "third_party"),
    [
        ("!", ()),
        ("*5 !", ()),
        ("*6 !", ()),
        ("*5*6 !", ()),
        ("*2201#!", (LATE,)),
        ("*3201#!", (LATE,)),
        ("*2201# *9 !", (THIRD_PARTY,)),
        ("*477012345678#!", ()),
    ],
    ids=[
        "talking",
        "held",
        "muted",
        "both",
        "consulting",
        "transferring",
        "back from a third party",
        "calling outside",
    ],
)
async def test_a_caller_left_alone_hears_so_and_goes_first(
    keys: str, third_party: tuple[str | NotAnswered, ...]
) -> None:
    telephony = await _die(keys, *third_party, NEXT)
    assert "kk/consultant_lost" in telephony.leg.heard
    assert telephony.urgent_places == [False, True]
    assert CallEvent.CONSULTANT_LOST in telephony.record.events


@pytest.mark.parametrize(
    ("keys", "others"),
    [
        ("*2201#  !", (THIRD_PARTY,)),
        ("*2201#  *8 !", (THIRD_PARTY,)),
        ("*2201#!", (THIRD_PARTY,)),
        ("*3201#!", (THIRD_PARTY,)),
        ("*477012345678#  !", ()),
        ("*477012345678#  *8 !", ()),
    ],
    ids=["third_party", "together", "consulting", "transferring", "outside", "outside together"],
)
async def test_a_caller_with_a_third_party_goes_on_with_it(
    keys: str, others: tuple[str, ...]
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
