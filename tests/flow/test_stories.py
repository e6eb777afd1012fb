"""Call flow in single stories: prompts, events and outcomes."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.acd.rules.call_commands import CallCommand, CommandRefused
from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.calls.ports import LegHungUp
from callcenter.telephony.calls.urgency import KEYS_PER_SECOND, RECORDED_KEYS_LIMIT, KeyRateLimit
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.legs import STAYS
from tests.flow.scenarios import ENDINGS, LATE, PATIENCE, assert_nothing_left, cuts, run_story
from tests.flow.story import TIMES, Story
from tests.polling import until


async def test_a_calls_prompts_follow_the_order_of_the_rules() -> None:
    telephony = FakeTelephony(ENDINGS["talked"][0])
    await run_story(telephony)
    of_the_queue = {"ru/queue_hold", "ru/queue_next"}
    assert [sound for sound in telephony.leg.heard if sound not in of_the_queue] == [
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


async def test_a_key_in_the_notice_serves_menu_and_repeats_it() -> None:
    story = Story(
        {"lang_choice": "1"}, {"emergency_hint": "1"}, consultants=[LATE, LATE, LATE, LATE, ""]
    )
    telephony = FakeTelephony(story)
    assert await run_story(telephony) == Outcome.TALKED
    assert "kk/menu_main" not in telephony.leg.heard
    assert (
        "kk/recording_notice" in telephony.leg.heard[telephony.leg.heard.index("kk/connecting") :]
    )


async def test_a_silent_caller_is_prompted_twice_then_gets_a_consultant() -> None:
    telephony = FakeTelephony(ENDINGS["no key at all"][0])
    await run_story(telephony)
    assert telephony.record.languages == ["kk"]
    assert telephony.leg.heard.count("kk/lang_choice") == 2
    assert telephony.leg.heard[6:8] == ["kk/err_noinput", "ru/err_noinput"]
    assert telephony.record.consultants == [telephony.offered[0].id]


async def test_leaving_after_1414_ended_is_not_redirected() -> None:
    telephony = FakeTelephony(ENDINGS["1414 by the menu"][0])
    call = asyncio.create_task(inbound_call(telephony.call()))
    while "bridge" not in telephony.held:
        await asyncio.sleep(0)
    telephony.called[0].leaves(LegHungUp("hung up"))
    while CallEvent.REDIRECT_FAILED not in telephony.record.events:
        await asyncio.sleep(0)
    telephony.leg.leaves(LegHungUp("hung up"))
    assert await call == Outcome.LEFT_IN_MENU
    assert_nothing_left(telephony)


async def test_a_failed_1414_returns_to_the_same_place() -> None:
    telephony = FakeTelephony(ENDINGS["1414 instead of waiting is busy"][0])
    assert await run_story(telephony) == Outcome.REDIRECTED
    first, second = telephony.places
    assert first == second
    assert telephony.leg.heard.count("kk/nobody_free") == 2


async def test_the_other_language_needs_the_callers_agreement_and_is_counted() -> None:
    story = Story(
        {"lang_choice": "0", "offer_stay": "6"}, signed_in=frozenset({"ru"}), patience=PATIENCE
    )
    telephony = FakeTelephony(story)
    call = telephony.call()
    assert await inbound_call(call) == Outcome.NOBODY_FREE
    assert_nothing_left(telephony)
    assert telephony.alerts == ["kk"]
    assert [language for language, _ in telephony.places] == ["kk", "ru"]
    assert telephony.places[0][1] == telephony.places[1][1]
    assert "kk/queue_next" in telephony.leg.heard
    assert telephony.record.events.count(CallEvent.NOBODY_SPEAKS) == 1
    assert telephony.record.details[telephony.record.events.index(CallEvent.NOBODY_SPEAKS)] == {
        "language": "kk"
    }
    assert telephony.record.details[telephony.record.events.index(CallEvent.OTHER_LANGUAGE)] == {
        "language": "ru"
    }
    assert call.language == "kk"


async def test_a_caller_who_cannot_speak_skips_menus() -> None:
    telephony = FakeTelephony(ENDINGS["cannot speak"][0])
    await run_story(telephony)
    assert telephony.urgent_places == [True]
    assert telephony.shown == ["kk SILENT"] * 2
    assert telephony.record.urgencies == [Urgency.SILENT]
    assert "kk/silent_words" in telephony.leg.heard
    assert not {"kk/menu_main", "kk/connecting", "kk/err_to_agent"} & set(telephony.leg.heard)
    assert CallEvent.MENU not in telephony.record.events


async def test_a_caller_in_danger_keeps_the_language_that_was_chosen() -> None:
    telephony = FakeTelephony(ENDINGS["in danger"][0])
    await run_story(telephony)
    assert telephony.urgent_places == [True]
    assert telephony.shown == ["ru DANGER"]
    assert telephony.record.languages == ["ru"]
    assert "ru/danger_words" in telephony.leg.heard


async def test_an_urgent_caller_stays_while_anybody_is_signed_in() -> None:
    searches = {}
    for story in ("nobody, but 1414", "in danger, and nobody takes the call"):
        telephony = FakeTelephony(ENDINGS[story][0])
        await run_story(telephony)
        searches[story] = telephony.searches
    assert list(searches.values()) == [1, TIMES.urgent_rounds]
    telephony = FakeTelephony(ENDINGS["in danger, and nobody is signed in"][0])
    await run_story(telephony)
    assert telephony.searches == 1


async def test_a_silent_urgent_caller_hears_and_gets_the_other_language() -> None:
    story = Story(
        {"lang_choice": "5"}, unified_center=[""], signed_in=frozenset({"ru"}), patience=PATIENCE
    )
    telephony = FakeTelephony(story)
    await run_story(telephony)
    assert [language for language, _ in telephony.places] == ["kk", "ru"]
    assert "kk/urgent_other_language" in telephony.leg.heard
    assert telephony.record.events.count(CallEvent.OTHER_LANGUAGE) == 1
    telephony = FakeTelephony(
        replace(story, presses={"lang_choice": "8", "urgent_other_language": "1"})
    )
    await run_story(telephony)
    assert [language for language, _ in telephony.places] == ["kk"]
    assert CallEvent.OTHER_LANGUAGE not in telephony.record.events


async def test_danger_reported_while_waiting_leads_to_an_urgent_place() -> None:
    telephony = FakeTelephony(ENDINGS["danger while waiting"][0])
    await run_story(telephony)
    assert telephony.urgent_places == [False, True]
    assert telephony.places[0] == telephony.places[1]
    assert telephony.shown[-1] == "kk DANGER"
    assert telephony.leg.heard.index("kk/connecting") < telephony.leg.heard.index("kk/danger_words")


async def test_who_cannot_speak_may_say_so_while_waiting() -> None:
    telephony = FakeTelephony(ENDINGS["cannot speak, told while waiting"][0])
    await run_story(telephony)
    assert telephony.record.urgencies == [Urgency.SILENT]
    assert telephony.urgent_places == [False, True]
    assert telephony.places[0] == telephony.places[1]
    assert "kk/silent_words" in telephony.leg.heard


async def test_a_key_to_the_music_tells_asks_or_answers() -> None:
    telephony = FakeTelephony(ENDINGS["where do I stand"][0])
    await run_story(telephony)
    assert telephony.leg.heard.count("kk/queue_next") == 2
    assert "kk/offer_stay" not in telephony.leg.heard
    telephony = FakeTelephony(ENDINGS["a key to the music before anything was asked"][0])
    await run_story(telephony)
    assert "kk/offer_stay" in telephony.leg.heard
    assert telephony.record.messages == {}, "4 was no answer yet"
    telephony = FakeTelephony(ENDINGS["1414 by a key to the music, the question being known"][0])
    await run_story(telephony)
    assert telephony.leg.heard.count("kk/offer_stay") == 1, "3 is known by then"


async def test_danger_on_the_way_to_1414_reaches_a_consultant() -> None:
    telephony = FakeTelephony(ENDINGS["danger on the way to 1414"][0])
    await run_story(telephony)
    assert CallEvent.REDIRECTED not in telephony.record.events
    assert CallEvent.CONNECTED in telephony.record.events
    assert telephony.record.urgencies == [Urgency.DANGER]


@pytest.mark.parametrize(
    ("ending", "urgency"),
    [
        ("danger told at the very end", Urgency.DANGER),
        ("two stars in the last words", Urgency.DANGER),
        ("two stars in the goodbye", Urgency.DANGER),
        ("cannot speak, told on the way to 1414", Urgency.SILENT),
    ],
)
async def test_urgency_at_the_last_moment_is_not_hung_up_on(ending: str, urgency: Urgency) -> None:
    telephony = FakeTelephony(ENDINGS[ending][0])
    await run_story(telephony)
    assert telephony.record.urgencies == [urgency]
    assert telephony.urgent_places[-1] is True


async def test_a_consultant_may_send_an_urgent_caller_to_1414() -> None:
    telephony = FakeTelephony(ENDINGS["an urgent caller is sent to 1414"][0])
    await run_story(telephony)
    assert CallEvent.REDIRECTED in telephony.record.events


async def test_a_blocked_caller_hears_why_and_is_never_connected() -> None:
    telephony = FakeTelephony(ENDINGS["blocked"][0])
    await run_story(telephony)
    assert telephony.leg.heard == ["kk/blocked", "ru/blocked"]
    assert telephony.places == []
    assert telephony.record.events == [CallEvent.ANSWERED, CallEvent.BLOCKED]


async def test_a_blocked_caller_in_danger_is_connected() -> None:
    telephony = FakeTelephony(ENDINGS["blocked, and in danger"][0])
    await run_story(telephony)
    assert telephony.urgent_places == [True]
    assert telephony.shown == ["kk DANGER BLOCKED"]
    assert "kk/greeting" not in telephony.leg.heard


async def test_a_blocked_caller_pressing_keys_does_not_hold_the_line() -> None:
    story = Story({"blocked": "1" * 100}, blocked=True)
    assert await run_story(FakeTelephony(story)) == Outcome.BLOCKED


@given(st.lists(st.floats(0, 10)), st.floats(0, 1e9))
def test_a_flood_of_keys_is_limited_and_slow_ones_stay(pauses: list[float], begin: float) -> None:
    limit = KeyRateLimit()
    times = [begin + sum(pauses[: n + 1]) for n in range(len(pauses))]
    admitted = [at for at in times if limit.admits(at)]
    assert all(
        late - early >= 1 for early, late in zip(admitted, admitted[KEYS_PER_SECOND:], strict=False)
    )
    for at in set(times) - set(admitted):
        assert len([each for each in admitted if at - 1 < each <= at]) >= KEYS_PER_SECOND


def test_no_more_than_the_set_number_of_keys_is_buffered() -> None:
    limit = KeyRateLimit()
    assert (
        sum(limit.admits(float(second)) for second in range(2 * RECORDED_KEYS_LIMIT))
        == RECORDED_KEYS_LIMIT
    )


async def test_a_callback_is_promised_to_the_confirmed_number() -> None:
    telephony = FakeTelephony(ENDINGS["a callback to another number"][0])
    await run_story(telephony)
    assert telephony.record.promised == ["+77017654321"]
    read = telephony.leg.heard[telephony.leg.heard.index("kk/callback_number", -20) :]
    digits = [each.removeprefix("kk/number_") for each in read if "/number_" in each]
    assert "".join(digits) == "87017654321"
    assert read[-2:] == ["kk/callback_ok", "kk/goodbye"]


@pytest.mark.parametrize(
    "ending",
    ["a callback is not safe", "no word whether a callback is safe", "a callback cannot be kept"],
)
async def test_no_callback_is_announced_without_a_yes_and_a_row(ending: str) -> None:
    telephony = FakeTelephony(ENDINGS[ending][0])
    await run_story(telephony)
    assert telephony.record.promised == []
    assert "kk/callback_ok" not in telephony.leg.heard
    assert CallEvent.CALLBACK_PROMISED not in telephony.record.events
    assert len({arrived for _, arrived in telephony.places}) == 1  # the place is kept


async def test_danger_while_arranging_a_callback_gets_an_urgent_place() -> None:
    telephony = FakeTelephony(ENDINGS["danger while a callback is agreed on"][0])
    await run_story(telephony)
    assert telephony.urgent_places[-1] is True
    assert telephony.record.promised == []


async def test_a_hangup_before_the_request_is_stored_left_waiting() -> None:
    story = ENDINGS["a callback"][0]
    async for telephony, call in cuts(
        story, lambda telephony, _: telephony.leg.leaves(LegHungUp("hung up"))
    ):
        if not telephony.record.promised:
            assert await call is not Outcome.CALLBACK


async def test_a_message_is_stored_and_recorded_before_speaking() -> None:
    story = ENDINGS["a message"][0]
    async for telephony, call in cuts(
        story, lambda telephony, _: telephony.leg.leaves(LegHungUp("hung up"))
    ):
        if "kk/message_speak" in telephony.leg.heard:
            (recording_id,) = telephony.record.messages
            assert recording_id in telephony.record.recordings
        if "kk/message_ok" in telephony.leg.heard:
            assert await call is Outcome.MESSAGE


async def test_whatever_ends_a_message_keeps_one_long_enough() -> None:
    def leave(telephony: FakeTelephony, call: asyncio.Task[Outcome]) -> None:
        telephony.leg.leaves(LegHungUp("hung up"))

    def cancel(telephony: FakeTelephony, call: asyncio.Task[Outcome]) -> None:
        call.cancel()

    for how in (leave, cancel):
        async for telephony, _ in cuts(ENDINGS["a message of the longest"][0], how):
            is_left = CallEvent.MESSAGE_LEFT in telephony.record.events
            assert list(telephony.record.messages.values()) in ([], [is_left])


@pytest.mark.parametrize(
    ("ending", "prompt"),
    [
        ("a message with nothing in it", "message_none"),
        ("a message cannot be kept", "not_kept"),
    ],
)
async def test_without_a_stored_message_the_caller_hears_it_and_waits(
    ending: str, prompt: str
) -> None:
    telephony = FakeTelephony(ENDINGS[ending][0])
    assert await inbound_call(telephony.call()) is Outcome.REDIRECTED
    assert f"kk/{prompt}" in telephony.leg.heard
    assert "kk/message_ok" not in telephony.leg.heard
    assert not any(telephony.record.messages.values())
    assert len({arrived for _, arrived in telephony.places}) == 1  # the place is kept


async def test_what_cannot_be_recorded_is_no_message() -> None:
    telephony = FakeTelephony(replace(ENDINGS["a message"][0], recording_starts=False))
    assert await inbound_call(telephony.call()) is not Outcome.MESSAGE
    assert "kk/message_speak" not in telephony.leg.heard
    assert "kk/not_kept" in telephony.leg.heard
    assert telephony.record.messages == {}


async def test_danger_in_a_message_keeps_it_and_gets_precedence() -> None:
    telephony = FakeTelephony(ENDINGS["danger in a message"][0])
    await run_story(telephony)
    assert telephony.urgent_places[-1] is True
    assert list(telephony.record.messages.values()) == [True]


async def test_a_returning_caller_prefers_the_open_appeals_consultant() -> None:
    telephony = FakeTelephony(ENDINGS["1414 instead of waiting is busy"][0])
    call = telephony.call()
    call.preferred_consultant = "201"
    assert await inbound_call(call) == Outcome.REDIRECTED
    assert telephony.preferred == ["201", "201"]


async def test_a_third_party_who_wants_no_call_is_not_dialled() -> None:
    story = Story({"lang_choice": "0"}, consultants=["*477012345678#  "], network=["  "])
    telephony = FakeTelephony(story)

    async def refuse(number: str) -> None:
        raise CommandRefused(number)

    call = replace(telephony.call(), check_contact=refuse)
    assert await inbound_call(call) == Outcome.TALKED
    assert CallEvent.THIRD_PARTY_CALLED not in telephony.record.events


async def test_no_wish_holds_up_an_urgent_call_to_a_body() -> None:
    telephony = FakeTelephony(Story({"lang_choice": "0"}, consultants=[STAYS], network=[STAYS]))

    async def refuse(number: str) -> None:
        raise CommandRefused(number)

    call = replace(telephony.call(), check_contact=refuse)
    serving = asyncio.create_task(inbound_call(call))
    order = CallCommand("call", "self", {"to": "77012345678", "urgent": "yes"}, "200")

    async def is_taken() -> bool:
        with suppress(CommandRefused):  # also before the conversation begins
            await call.commands.dispatch(order)
            return True
        return False

    await until(is_taken, "the order is taken")
    await until(lambda: len(telephony.called) == 2, "the body is called")
    telephony.leg.leaves(LegHungUp("hung up"))
    assert await serving == Outcome.TALKED
