"""The call flow in single stories: what is said when, and what becomes of whom."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.line.flow import inbound_call
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.line.ports import LegGone
from callcenter.line.urgency import KEYS_A_SECOND, KEYS_KEPT, KeyLimit
from tests.flow.endings import (
    ENDINGS,
    LATE,
    PATIENCE,
    assert_nothing_left,
    cuts,
    told,
)
from tests.flow.story import TIMES, Story
from tests.flow.world import World


async def test_the_prompts_of_a_call_come_in_the_order_of_the_rules() -> None:
    world = World(ENDINGS["talked"][0])
    await told(world)
    of_the_queue = {"ru/queue_hold", "ru/queue_next"}
    assert [sound for sound in world.leg.heard if sound not in of_the_queue] == [
        "kk/greeting",
        "kk/lang_choice",
        "ru/greeting_short",
        "ru/lang_choice",
        "kk/urgent_keys",
        "ru/urgent_keys",
        "ru/emergency_hint",
        "ru/recording_notice",
        "ru/menu_main",
        "ru/urgent_keys",
        "ru/danger_stars",
        "ru/connecting",
        "ru/goodbye",
    ]


async def test_a_key_in_the_notice_is_for_the_menu_and_the_notice_is_given_again() -> None:
    story = Story(
        {"lang_choice": "1"}, {"emergency_hint": "1"}, consultants=[LATE, LATE, LATE, LATE, ""]
    )
    world = World(story)
    assert await told(world) == Outcome.TALKED
    assert "kk/menu_main" not in world.leg.heard
    assert "kk/recording_notice" in world.leg.heard[world.leg.heard.index("kk/connecting") :]


async def test_a_silent_caller_is_asked_twice_in_both_languages_and_gets_a_consultant() -> None:
    world = World(ENDINGS["no key at all"][0])
    await told(world)
    assert world.record.languages == ["kk"]
    assert world.leg.heard.count("kk/lang_choice") == 2
    assert world.leg.heard[6:8] == ["kk/err_noinput", "ru/err_noinput"]
    assert world.record.consultants == [world.offered[0].id]


async def test_who_leaves_after_1414_had_answered_and_gone_was_not_redirected() -> None:
    world = World(ENDINGS["1414 by the menu"][0])
    call = asyncio.create_task(inbound_call(world.call()))
    while "bridge" not in world.held:
        await asyncio.sleep(0)
    world.called[0].leaves(LegGone("hung up"))
    while Moment.REDIRECT_FAILED not in world.record.moments:
        await asyncio.sleep(0)
    world.leg.leaves(LegGone("hung up"))
    assert await call == Outcome.LEFT_IN_MENU
    assert_nothing_left(world)


async def test_who_tries_1414_in_vain_comes_back_to_the_same_place_in_the_queue() -> None:
    world = World(ENDINGS["1414 instead of waiting is busy"][0])
    assert await told(world) == Outcome.REDIRECTED
    first, second = world.places
    assert first == second
    assert world.leg.heard.count("kk/nobody_free") == 2


async def test_the_other_language_is_used_once_the_caller_has_agreed_and_is_counted() -> None:
    story = Story(
        {"lang_choice": "0", "offer_stay": "6"}, signed_in=frozenset({"ru"}), patience=PATIENCE
    )
    world = World(story)
    call = world.call()
    assert await inbound_call(call) == Outcome.NOBODY_FREE
    assert_nothing_left(world)
    assert world.alarms == ["kk"]
    assert [language for language, _ in world.places] == ["kk", "ru"]
    assert world.places[0][1] == world.places[1][1]
    assert "kk/queue_next" in world.leg.heard
    assert world.record.moments.count(Moment.NOBODY_SPEAKS) == 1
    assert world.record.details[world.record.moments.index(Moment.NOBODY_SPEAKS)] == {
        "language": "kk"
    }
    assert world.record.details[world.record.moments.index(Moment.OTHER_LANGUAGE)] == {
        "language": "ru"
    }
    assert call.language == "kk"


async def test_a_caller_who_cannot_speak_skips_the_menus_and_may_answer_by_key() -> None:
    world = World(ENDINGS["cannot speak"][0])
    await told(world)
    assert world.urgent_places == [True]
    assert world.shown == ["kk SILENT"] * 2
    assert world.record.urgencies == [Urgency.SILENT]
    assert "kk/silent_words" in world.leg.heard
    assert not {"kk/menu_main", "kk/connecting", "kk/err_to_agent"} & set(world.leg.heard)
    assert Moment.MENU not in world.record.moments


async def test_a_caller_in_danger_keeps_the_language_that_was_chosen() -> None:
    world = World(ENDINGS["in danger"][0])
    await told(world)
    assert world.urgent_places == [True]
    assert world.shown == ["ru DANGER"]
    assert world.record.languages == ["ru"]
    assert "ru/danger_words" in world.leg.heard


async def test_an_urgent_caller_stays_while_anybody_is_signed_in_for_as_long_as_is_set() -> None:
    searches = {}
    for story in ("nobody, but 1414", "in danger, and nobody takes the call"):
        world = World(ENDINGS[story][0])
        await told(world)
        searches[story] = world.searches
    assert list(searches.values()) == [1, TIMES.urgent_rounds]
    world = World(ENDINGS["in danger, and nobody is signed in"][0])
    await told(world)
    assert world.searches == 1


async def test_an_urgent_caller_who_answers_nothing_gets_the_other_language_having_heard_so() -> (
    None
):
    story = Story(
        {"lang_choice": "5"}, unified_center=[""], signed_in=frozenset({"ru"}), patience=PATIENCE
    )
    world = World(story)
    await told(world)
    assert [language for language, _ in world.places] == ["kk", "ru"]
    assert "kk/urgent_other_language" in world.leg.heard
    assert world.record.moments.count(Moment.OTHER_LANGUAGE) == 1
    world = World(replace(story, presses={"lang_choice": "8", "urgent_other_language": "1"}))
    await told(world)
    assert [language for language, _ in world.places] == ["kk"]
    assert Moment.OTHER_LANGUAGE not in world.record.moments


async def test_danger_told_while_waiting_leads_to_an_urgent_place() -> None:
    world = World(ENDINGS["danger while waiting"][0])
    await told(world)
    assert world.urgent_places == [False, True]
    assert world.places[0] == world.places[1]
    assert world.shown[-1] == "kk DANGER"
    assert world.leg.heard.index("kk/connecting") < world.leg.heard.index("kk/danger_words")


async def test_who_cannot_speak_may_say_so_while_waiting() -> None:
    world = World(ENDINGS["cannot speak, told while waiting"][0])
    await told(world)
    assert world.record.urgencies == [Urgency.SILENT]
    assert world.urgent_places == [False, True]
    assert world.places[0] == world.places[1]
    assert "kk/silent_words" in world.leg.heard


async def test_a_key_to_the_music_tells_the_place_asks_or_answers_what_was_asked() -> None:
    world = World(ENDINGS["where do I stand"][0])
    await told(world)
    assert world.leg.heard.count("kk/queue_next") == 2
    assert "kk/offer_stay" not in world.leg.heard
    world = World(ENDINGS["a key to the music before anything was asked"][0])
    await told(world)
    assert "kk/offer_stay" in world.leg.heard
    assert world.record.messages == {}, "4 was no answer yet"
    world = World(ENDINGS["1414 by a key to the music, the question being known"][0])
    await told(world)
    assert world.leg.heard.count("kk/offer_stay") == 1, "3 is known by then"


async def test_danger_told_on_the_way_to_1414_leads_to_a_consultant_instead() -> None:
    world = World(ENDINGS["danger on the way to 1414"][0])
    await told(world)
    assert Moment.REDIRECTED not in world.record.moments
    assert Moment.CONNECTED in world.record.moments
    assert world.record.urgencies == [Urgency.DANGER]


@pytest.mark.parametrize(
    ("ending", "urgency"),
    [
        ("danger told at the very end", Urgency.DANGER),
        ("two stars in the last words", Urgency.DANGER),
        ("two stars in the goodbye", Urgency.DANGER),
        ("cannot speak, told on the way to 1414", Urgency.SILENT),
    ],
)
async def test_who_tells_of_need_at_the_last_moment_is_not_hung_up_on(
    ending: str, urgency: Urgency
) -> None:
    world = World(ENDINGS[ending][0])
    await told(world)
    assert world.record.urgencies == [urgency]
    assert world.urgent_places[-1] is True


async def test_a_consultant_may_send_an_urgent_caller_to_1414() -> None:
    world = World(ENDINGS["an urgent caller is sent to 1414"][0])
    await told(world)
    assert Moment.REDIRECTED in world.record.moments


async def test_a_blocked_caller_hears_why_and_is_never_connected() -> None:
    world = World(ENDINGS["blocked"][0])
    await told(world)
    assert world.leg.heard == ["kk/blocked", "ru/blocked"]
    assert world.called == []
    assert world.places == []
    assert world.record.moments == [Moment.ANSWERED, Moment.BLOCKED]


async def test_a_blocked_caller_in_danger_is_connected_and_the_consultant_knows() -> None:
    world = World(ENDINGS["blocked, and in danger"][0])
    await told(world)
    assert world.urgent_places == [True]
    assert world.shown == ["kk DANGER BLOCKED"]
    assert "kk/greeting" not in world.leg.heard


async def test_a_blocked_caller_who_keeps_pressing_keys_does_not_hold_the_line() -> None:
    story = Story({"blocked": "1" * 100}, blocked=True)
    assert await told(World(story)) == Outcome.BLOCKED


@given(st.lists(st.floats(0, 10)), st.floats(0, 1e9))
def test_of_a_flood_of_keys_few_are_kept_and_of_a_slow_hand_all(
    pauses: list[float], begin: float
) -> None:
    limit = KeyLimit()
    times = [begin + sum(pauses[: n + 1]) for n in range(len(pauses))]
    kept = [at for at in times if limit.admits(at)]
    assert all(late - early >= 1 for early, late in zip(kept, kept[KEYS_A_SECOND:], strict=False))
    for at in set(times) - set(kept):
        assert len([each for each in kept if at - 1 < each <= at]) >= KEYS_A_SECOND


def test_no_more_than_the_set_number_of_keys_is_kept() -> None:
    limit = KeyLimit()
    assert sum(limit.admits(float(second)) for second in range(2 * KEYS_KEPT)) == KEYS_KEPT


async def test_a_callback_is_promised_to_the_number_that_was_read_back_and_confirmed() -> None:
    world = World(ENDINGS["a callback to another number"][0])
    await told(world)
    assert world.record.promised == ["+77017654321"]
    read = world.leg.heard[world.leg.heard.index("kk/callback_number", -20) :]
    digits = [each.removeprefix("kk/number_") for each in read if "/number_" in each]
    assert "".join(digits) == "87017654321"
    assert read[-2:] == ["kk/callback_ok", "kk/goodbye"]


@pytest.mark.parametrize(
    "ending",
    ["a callback is not safe", "no word whether a callback is safe", "a callback cannot be kept"],
)
async def test_without_a_yes_or_a_kept_promise_no_callback_is_told_of(ending: str) -> None:
    world = World(ENDINGS[ending][0])
    await told(world)
    assert world.record.promised == []
    assert "kk/callback_ok" not in world.leg.heard
    assert Moment.CALLBACK_PROMISED not in world.record.moments
    assert len({arrived for _, arrived in world.places}) == 1  # the place is kept


async def test_danger_told_while_a_callback_is_agreed_on_leads_to_an_urgent_place() -> None:
    world = World(ENDINGS["danger while a callback is agreed on"][0])
    await told(world)
    assert world.urgent_places[-1] is True
    assert world.record.promised == []


async def test_who_hangs_up_before_the_promise_is_kept_has_left_waiting() -> None:
    story = ENDINGS["a callback"][0]
    async for world, call in cuts(story, lambda world, _: world.leg.leaves(LegGone("hung up"))):
        if not world.record.promised:
            assert await call is not Outcome.CALLBACK


async def test_a_message_is_owed_and_recorded_before_the_caller_is_asked_to_speak() -> None:
    story = ENDINGS["a message"][0]
    async for world, call in cuts(story, lambda world, _: world.leg.leaves(LegGone("hung up"))):
        if "kk/message_speak" in world.leg.heard:
            (recording_id,) = world.record.messages
            assert recording_id in world.record.recordings
        if "kk/message_ok" in world.leg.heard:
            assert await call is Outcome.MESSAGE


async def test_whatever_ends_a_message_keeps_it_if_it_is_long_enough() -> None:
    def leave(world: World, call: asyncio.Task[Outcome]) -> None:
        world.leg.leaves(LegGone("hung up"))

    def cancel(world: World, call: asyncio.Task[Outcome]) -> None:
        call.cancel()

    for how in (leave, cancel):
        async for world, _ in cuts(ENDINGS["a message of the longest"][0], how):
            is_left = Moment.MESSAGE_LEFT in world.record.moments
            assert list(world.record.messages.values()) in ([], [is_left])


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("a message with nothing in it", "message_none"),
        ("a message cannot be kept", "not_kept"),
    ],
)
async def test_without_a_message_that_is_kept_the_caller_is_told_so_and_waits_on(
    ending: str, told: str
) -> None:
    world = World(ENDINGS[ending][0])
    assert await inbound_call(world.call()) is Outcome.REDIRECTED
    assert f"kk/{told}" in world.leg.heard
    assert "kk/message_ok" not in world.leg.heard
    assert not any(world.record.messages.values())
    assert len({arrived for _, arrived in world.places}) == 1  # the place is kept


async def test_what_cannot_be_recorded_is_no_message() -> None:
    world = World(replace(ENDINGS["a message"][0], recording_starts=False))
    assert await inbound_call(world.call()) is not Outcome.MESSAGE
    assert "kk/message_speak" not in world.leg.heard
    assert "kk/not_kept" in world.leg.heard
    assert world.record.messages == {}


async def test_danger_told_in_a_message_keeps_it_and_leads_to_an_urgent_place() -> None:
    world = World(ENDINGS["danger in a message"][0])
    await told(world)
    assert world.urgent_places[-1] is True
    assert list(world.record.messages.values()) == [True]


async def test_who_rings_back_would_rather_have_the_consultant_of_the_open_appeal() -> None:
    world = World(ENDINGS["1414 instead of waiting is busy"][0])
    call = world.call()
    call.had_by = "201"
    assert await inbound_call(call) == Outcome.REDIRECTED
    assert world.preferred == ["201", "201"]
