"""The rule of a call without a switch: every ending, and every ending cut at every step."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.errors import WeFailed
from callcenter.line.flow import inbound_call
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.line.ports import LegGone, LegLost, NotAnswered
from callcenter.line.urgency import KEYS_A_SECOND, KEYS_KEPT, KeyLimit
from tests.flow.world import Story, World

PATIENCE = 100  # turns in which a caller has heard and answered all that is asked
SERVED = (
    Outcome.TALKED,
    Outcome.REDIRECTED,
    Outcome.NOBODY_FREE,
    Outcome.CALLBACK,
    Outcome.BLOCKED,
)
ENDLESS = 2000  # turns of the loop that no story takes

BUSY = NotAnswered("busy")
LATE = NotAnswered("no_answer")


def asks_for_callback(
    presses: Mapping[str, Sequence[str | None]],
    interrupts: Mapping[str, str] | None = None,
    *,
    number: str | None = "+77011234567",
    promises_kept: bool = True,
) -> Story:
    """Nobody is signed in; who is promised nothing goes to 1414 when asked again."""
    return Story(
        {"lang_choice": "0", "offer_stay": "23", **presses},
        dict(interrupts or {}),
        unified_center=[""],
        signed_in=frozenset(),
        patience=3 * PATIENCE,
        number=number,
        promises_kept=promises_kept,
    )


ENDINGS = {
    "talked": (Story({"lang_choice": "2", "menu_main": "1"}, consultants=[""]), Outcome.TALKED),
    "no key at all": (Story(consultants=["5"]), Outcome.TALKED),
    "wrong keys": (Story({"lang_choice": "7#"}, consultants=[""]), Outcome.TALKED),
    "a consultant at once": (Story({"lang_choice": "0"}, consultants=[""]), Outcome.TALKED),
    "wrong in the menu": (
        Story({"lang_choice": "1", "menu_main": "7*"}, consultants=[""]),
        Outcome.TALKED,
    ),
    "the menu again and again": (
        Story({"lang_choice": "1", "menu_main": "9" * 9}, consultants=[""]),
        Outcome.TALKED,
    ),
    "the second consultant": (
        Story({"lang_choice": "0"}, consultants=[LATE, BUSY, ""]),
        Outcome.TALKED,
    ),
    "1414 by the menu": (
        Story({"lang_choice": "2", "menu_main": "3"}, unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "1414 is busy": (
        Story({"lang_choice": "1", "menu_main": "3"}, consultants=[""], unified_center=[BUSY]),
        Outcome.TALKED,
    ),
    "1414 by the consultant": (
        Story({"lang_choice": "0"}, consultants=["5*14"], unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "held and resumed, muted and unmuted": (
        Story({"lang_choice": "0"}, consultants=["*5*5*6*6"]),
        Outcome.TALKED,
    ),
    "the consultant leaves a caller who is held": (
        Story({"lang_choice": "0"}, consultants=["*6*5", "*6"]),
        Outcome.TALKED,
    ),
    "1414 for a caller who is held": (
        Story({"lang_choice": "0"}, consultants=["*5*14"], unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "1414 busy for the consultant": (
        Story({"lang_choice": "0"}, consultants=["*14", ""], unified_center=[BUSY]),
        Outcome.TALKED,
    ),
    "nobody, but 1414": (Story({"lang_choice": "0"}, unified_center=[""]), Outcome.REDIRECTED),
    "nobody at all": (Story({"lang_choice": "0"}, unified_center=[BUSY]), Outcome.NOBODY_FREE),
    "1414 instead of waiting": (
        Story(
            {"lang_choice": "0", "offer_stay": "3"},
            unified_center=[""],
            signed_in=frozenset(),
            patience=PATIENCE,
        ),
        Outcome.REDIRECTED,
    ),
    "1414 instead of waiting is busy": (
        Story(
            {"lang_choice": "0", "offer_stay": "33"},
            unified_center=[BUSY, ""],
            signed_in=frozenset({"ru"}),
            patience=PATIENCE,
        ),
        Outcome.REDIRECTED,
    ),
    "1414 after the other language": (
        Story(
            {"lang_choice": "0", "offer_stay": "63", "queue_next": "3"},
            consultants=[LATE],
            unified_center=[""],
            signed_in=frozenset({"ru"}),
            patience=PATIENCE,
        ),
        Outcome.REDIRECTED,
    ),
    "a callback": (asks_for_callback({"callback_safe": "1"}), Outcome.CALLBACK),
    "a callback to another number": (
        asks_for_callback({"callback_safe": "21", "callback_enter": "7*77017654321#"}),
        Outcome.CALLBACK,
    ),
    "a callback to no number of ours": (
        asks_for_callback({"callback_enter": "42#42#42#"}, number=None),
        Outcome.REDIRECTED,
    ),
    "a callback is not safe": (asks_for_callback({"callback_safe": "3"}), Outcome.REDIRECTED),
    "no word whether a callback is safe": (asks_for_callback({}), Outcome.REDIRECTED),
    "a callback cannot be kept": (
        asks_for_callback({"callback_safe": "1"}, promises_kept=False),
        Outcome.REDIRECTED,
    ),
    "danger while a callback is agreed on": (
        asks_for_callback({}, {"callback_number": "**"}),
        Outcome.REDIRECTED,
    ),
    "a callback at the very end": (
        Story({"lang_choice": "0", "callback_offer": "2", "callback_safe": "1"}),
        Outcome.CALLBACK,
    ),
    "recording does not start": (
        Story({"lang_choice": "0"}, consultants=[""], recording_starts=False),
        Outcome.TALKED,
    ),
    "recording does not stop": (
        Story(
            {"lang_choice": "0"},
            consultants=["*14", ""],
            unified_center=[""],
            recording_stops=False,
        ),
        Outcome.TALKED,
    ),
    "cannot speak": (Story({"lang_choice": "5"}, consultants=[LATE, ""]), Outcome.TALKED),
    "in danger": (Story({"lang_choice": "2", "menu_main": "8"}, consultants=[""]), Outcome.TALKED),
    "danger in the notice": (
        Story({"lang_choice": "2"}, {"emergency_hint": "**"}, consultants=[""]),
        Outcome.TALKED,
    ),
    "danger while waiting": (
        Story({"lang_choice": "0"}, {"connecting": "**"}, consultants=[LATE, LATE, LATE, ""]),
        Outcome.TALKED,
    ),
    "danger on the way to 1414": (
        Story(
            {"lang_choice": "2", "menu_main": "3"},
            {"transfer_ecc": "**"},
            consultants=[""],
            unified_center=[""],
        ),
        Outcome.TALKED,
    ),
    "danger when nobody was there": (
        Story({"lang_choice": "0"}, {"nobody_free": "**"}, unified_center=[BUSY]),
        Outcome.NOBODY_FREE,
    ),
    "an urgent caller is sent to 1414": (
        Story({"lang_choice": "8"}, consultants=["*14"], unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "blocked": (Story({"blocked": "15"}, blocked=True, consultants=[""]), Outcome.BLOCKED),
    "blocked, and in danger": (
        Story({"blocked": "18"}, blocked=True, consultants=[""]),
        Outcome.TALKED,
    ),
}
of_each_ending = pytest.mark.parametrize(("story", "outcome"), ENDINGS.values(), ids=ENDINGS)


async def told(world: World) -> Outcome:
    """The outcome of the whole story; proves that nothing is left of it."""
    outcome = await inbound_call(world.call())
    assert_nothing_left(world)
    return outcome


def assert_nothing_left(world: World) -> None:
    assert world.held == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(world.record.recordings.values()), "a recording was not said to be stopped"


@of_each_ending
async def test_every_ending_has_its_outcome_and_leaves_nothing(
    story: Story, outcome: Outcome
) -> None:
    assert await told(World(story)) == outcome


async def cuts(
    story: Story, how: Callable[[World, asyncio.Task[Outcome]], object]
) -> AsyncIterator[tuple[World, asyncio.Task[Outcome]]]:
    """The story cut after no turn of the loop, after one, and so on; each call is over."""
    for turns in range(ENDLESS):
        world = World(story)
        call = asyncio.create_task(inbound_call(world.call()))
        for _ in range(turns):
            await asyncio.sleep(0)
        if call.done():
            assert turns > 10, "the story was never cut"
            await call
            return
        how(world, call)
        await asyncio.wait((call,))
        assert_nothing_left(world)
        yield world, call
    raise AssertionError("the story does not end")


@of_each_ending
async def test_a_caller_may_hang_up_at_every_step(story: Story, outcome: Outcome) -> None:
    async for world, call in cuts(story, lambda world, _: world.leg.leaves(LegGone("hung up"))):
        became = await call
        assert became in (left_after(world.record.moments), outcome), world.record.moments


def left_after(moments: list[Moment]) -> Outcome:
    """What became of a caller who left after the last of these moments (R25)."""
    left = Outcome.LEFT_IN_GREETING
    for moment in moments:
        left = {
            Moment.BLOCKED: Outcome.BLOCKED,
            Moment.LANGUAGE: Outcome.LEFT_IN_MENU,
            Moment.WAITING: Outcome.LEFT_WAITING,
            Moment.RINGING: Outcome.LEFT_RINGING,
            Moment.CONNECTED: Outcome.TALKED,
            Moment.CALLBACK_PROMISED: Outcome.CALLBACK,
            Moment.REDIRECTED: Outcome.REDIRECTED,
        }.get(moment, left)
    return left


@of_each_ending
async def test_the_switch_may_vanish_at_every_step(story: Story, outcome: Outcome) -> None:
    def vanish(world: World, _: object) -> None:
        for leg in (world.leg, *world.called):
            leg.leaves(LegLost("the switch died"))

    async for _, call in cuts(story, vanish):
        assert await call in (Outcome.LOST_TO_A_FAULT, outcome)


@of_each_ending
async def test_a_call_may_be_cancelled_at_every_step(story: Story, outcome: Outcome) -> None:
    async for _, call in cuts(story, lambda _, call: call.cancel()):
        assert call.cancelled()


@of_each_ending
async def test_whoever_was_called_may_leave_at_every_step(story: Story, outcome: Outcome) -> None:
    def leave(world: World, _: object) -> None:
        for leg in world.called:
            leg.leaves(LegGone("hung up"))

    async for _, call in cuts(story, leave):
        assert await call in SERVED


@of_each_ending
async def test_every_operation_may_fail(story: Story, outcome: Outcome) -> None:
    for number in range(ENDLESS):
        world = World(story, fails_at=number)
        call = asyncio.create_task(inbound_call(world.call()))
        await asyncio.wait((call,))
        assert_nothing_left(world)
        if world.operations <= number:
            assert await call == outcome
            return
        # The company of a caller who waits may fail without harm; anything else is for the
        # dialplan's fallback.
        assert isinstance(call.exception(), WeFailed) or await call in Outcome
    raise AssertionError("the story does not end")


KEYS = st.sampled_from([*"0123456789*#", None])
NEVER_ANSWERED = st.sampled_from([BUSY, LATE, NotAnswered("unreachable")])
INTERRUPTED = [
    "greeting",
    "emergency_hint",
    "recording_notice",
    "err_invalid",
    "connecting",
    "transfer_ecc",
    "nobody_free",
    "goodbye",
    "blocked",
]
STORIES = st.builds(
    Story,
    presses=st.fixed_dictionaries(
        {},
        optional={
            "lang_choice": st.lists(KEYS, max_size=4),
            "menu_main": st.lists(KEYS),
            "blocked": st.lists(KEYS, max_size=20),
        },
    ),
    interrupts=st.dictionaries(
        st.sampled_from(INTERRUPTED),
        st.text("0123456789*#", min_size=1, max_size=4) | st.just("**"),
    ),
    blocked=st.booleans(),
    consultants=st.lists(st.one_of(st.text("145*", max_size=8), NEVER_ANSWERED), max_size=4),
    unified_center=st.lists(st.one_of(st.just(""), NEVER_ANSWERED), max_size=3),
    recording_starts=st.booleans(),
    recording_stops=st.booleans(),
)


@given(STORIES)
def test_whatever_people_do_the_call_ends_once_and_leaves_nothing(story: Story) -> None:
    async def tell() -> None:
        world = World(story)
        outcome = await told(world)
        # Nobody hung up and nothing failed, so the call was served, or nobody was there.
        assert outcome in SERVED
        settled = 0 if outcome is Outcome.BLOCKED else 1
        assert world.record.moments.count(Moment.LANGUAGE) == settled
        assert len(world.record.languages) == settled

    asyncio.run(tell())


@given(STORIES)
def test_after_the_choice_only_the_language_of_the_call_is_heard(story: Story) -> None:
    async def tell() -> World:
        world = World(story)
        await told(world)
        return world

    world = asyncio.run(tell())
    for language in world.record.languages:
        chosen = world.record.heard_before_language
        assert all(each.startswith(f"{language}/") for each in world.leg.heard[chosen:])


@given(STORIES)
def test_nobody_is_sent_to_1414_while_a_recording_may_be_running(story: Story) -> None:
    async def tell() -> World:
        world = World(story)
        await told(world)
        return world

    moments = asyncio.run(tell()).record.moments
    if Moment.REDIRECT_RINGING in moments:
        before = moments[: moments.index(Moment.REDIRECT_RINGING)]
        assert before.count(Moment.RECORDING_STARTED) == before.count(Moment.RECORDING_STOPPED)
        assert Moment.REDIRECT_NOTICE in before


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


async def test_danger_told_while_waiting_leads_to_an_urgent_place() -> None:
    world = World(ENDINGS["danger while waiting"][0])
    await told(world)
    assert world.urgent_places == [False, True]
    assert world.places[0] == world.places[1]
    assert world.shown[-1] == "kk DANGER"
    assert world.leg.heard.index("kk/connecting") < world.leg.heard.index("kk/danger_words")


async def test_danger_told_on_the_way_to_1414_leads_to_a_consultant_instead() -> None:
    world = World(ENDINGS["danger on the way to 1414"][0])
    await told(world)
    assert Moment.REDIRECTED not in world.record.moments
    assert Moment.CONNECTED in world.record.moments
    assert world.record.urgencies == [Urgency.DANGER]


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
