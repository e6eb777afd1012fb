"""Survey after a conversation, on fakes."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.scenarios import assert_nothing_left
from tests.flow.story import Story


async def run_story(
    story: Story, is_urgent_on_record: Callable[[], Awaitable[bool]] | None = None
) -> FakeTelephony:
    telephony = FakeTelephony(story)
    call = telephony.call()
    call.is_urgent_on_record = is_urgent_on_record or call.is_urgent_on_record
    assert await inbound_call(call) is Outcome.TALKED
    assert_nothing_left(telephony)
    return telephony


def marks(telephony: FakeTelephony) -> list[object]:
    marks_recorded = zip(telephony.record.events, telephony.record.details, strict=True)
    return [detail["mark"] for event, detail in marks_recorded if event is CallEvent.SURVEYED]


@pytest.mark.parametrize("key", "12345")
async def test_a_mark_from_1_to_5_is_stored_and_thanked(key: str) -> None:
    telephony = await run_story(Story({"lang_choice": "0", "survey": key}, consultants=["*15"]))
    assert marks(telephony) == [int(key)]
    assert telephony.leg.heard[-3:] == ["kk/survey", "kk/survey_thanks", "kk/goodbye"]


@pytest.mark.parametrize(
    ("keys", "prompts_played", "marks_recorded"),
    [
        ([None], 1, []),
        (["9", "0"], 2, []),
        (["#", "3"], 2, [3]),
        (["6", None], 2, []),
        (["7", "8", "5", "5"], 2, []),
    ],
)
async def test_silence_ends_it_and_wrong_keys_after_a_second_try(
    keys: Sequence[str | None], prompts_played: int, marks_recorded: list[int]
) -> None:
    telephony = await run_story(Story({"lang_choice": "0", "survey": keys}, consultants=["*15"]))
    assert telephony.leg.heard.count("kk/survey") == prompts_played
    assert marks(telephony) == marks_recorded
    assert telephony.leg.heard[-1] == "kk/goodbye"


async def test_nobody_is_surveyed_unless_offered_or_always() -> None:
    for always in (False, True):
        story = Story({"lang_choice": "0", "survey": "2"}, consultants=[""], survey_always=always)
        assert marks(await run_story(story)) == ([2] if always else [])


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("key", ["5", "8"])
async def test_who_cannot_speak_or_is_in_danger_is_never_surveyed(key: str, always: bool) -> None:
    story = Story({"lang_choice": key}, consultants=["*15"], survey_always=always)
    telephony = await run_story(story)
    assert "kk/survey" not in telephony.leg.heard
    assert marks(telephony) == []


async def recorded_urgency() -> bool:
    return True


async def lookup_fails() -> bool:
    raise OperationFailed("the database is away")


@pytest.mark.parametrize("is_urgent_on_record", [recorded_urgency, lookup_fails])
async def test_callers_in_danger_or_unknown_are_never_surveyed(
    is_urgent_on_record: Callable[[], Awaitable[bool]],
) -> None:
    for keys in ("", "*15"):
        story = Story({"lang_choice": "0"}, consultants=[keys], survey_always=True)
        telephony = await run_story(story, is_urgent_on_record)
        assert "kk/survey" not in telephony.leg.heard


async def test_danger_in_the_survey_reaches_a_consultant_again() -> None:
    story = Story({"lang_choice": "0"}, {"survey": "**"}, consultants=["*15", ""])
    telephony = await run_story(story)
    assert telephony.urgent_places == [False, True]
    assert marks(telephony) == []
