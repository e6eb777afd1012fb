"""The question after a conversation, without a switch: who is asked, and what becomes of it."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from callcenter.errors import WeFailed
from callcenter.line.flow import inbound_call
from callcenter.line.outcomes import Moment, Outcome
from tests.flow.endings import assert_nothing_left
from tests.flow.story import Story
from tests.flow.world import World


async def told(story: Story, is_in_need: Callable[[], Awaitable[bool]] | None = None) -> World:
    world = World(story)
    call = world.call()
    call.is_in_need = is_in_need or call.is_in_need
    assert await inbound_call(call) is Outcome.TALKED
    assert_nothing_left(world)
    return world


def marks(world: World) -> list[object]:
    kept = zip(world.record.moments, world.record.details, strict=True)
    return [detail["mark"] for moment, detail in kept if moment is Moment.SURVEYED]


@pytest.mark.parametrize("key", "12345")
async def test_a_key_from_1_to_5_is_kept_and_thanked_for(key: str) -> None:
    world = await told(Story({"lang_choice": "0", "survey": key}, consultants=["*15"]))
    assert marks(world) == [int(key)]
    assert world.leg.heard[-3:] == ["kk/survey", "kk/survey_thanks", "kk/goodbye"]


@pytest.mark.parametrize(
    ("keys", "asked", "kept"),
    [
        ([None], 1, []),
        (["9", "0"], 2, []),
        (["#", "3"], 2, [3]),
        (["6", None], 2, []),
        (["7", "8", "5", "5"], 2, []),
    ],
)
async def test_silence_ends_it_and_wrong_keys_after_a_second_try(
    keys: Sequence[str | None], asked: int, kept: list[int]
) -> None:
    world = await told(Story({"lang_choice": "0", "survey": keys}, consultants=["*15"]))
    assert world.leg.heard.count("kk/survey") == asked
    assert marks(world) == kept
    assert world.leg.heard[-1] == "kk/goodbye"


async def test_nobody_is_asked_unless_offered_or_always() -> None:
    for always in (False, True):
        story = Story({"lang_choice": "0", "survey": "2"}, consultants=[""], survey_always=always)
        assert marks(await told(story)) == ([2] if always else [])


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("key", ["5", "8"])
async def test_who_cannot_speak_or_is_in_danger_is_never_asked(key: str, always: bool) -> None:
    story = Story({"lang_choice": key}, consultants=["*15"], survey_always=always)
    world = await told(story)
    assert "kk/survey" not in world.leg.heard
    assert marks(world) == []


async def put_down() -> bool:
    return True


async def not_known() -> bool:
    raise WeFailed("the database is away")


@pytest.mark.parametrize("is_in_need", [put_down, not_known])
async def test_of_whom_danger_was_put_down_or_nothing_is_known_is_never_asked(
    is_in_need: Callable[[], Awaitable[bool]],
) -> None:
    for keys in ("", "*15"):
        story = Story({"lang_choice": "0"}, consultants=[keys], survey_always=True)
        world = await told(story, is_in_need)
        assert "kk/survey" not in world.leg.heard


async def test_danger_in_place_of_a_mark_leads_to_a_consultant_again() -> None:
    story = Story({"lang_choice": "0"}, {"survey": "**"}, consultants=["*15", ""])
    world = await told(story)
    assert world.urgent_places == [False, True]
    assert marks(world) == []
