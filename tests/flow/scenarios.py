"""Stories for each outcome of a call, and helpers to run and interrupt them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from callcenter.telephony.calls.inbound.flow import inbound_call
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.calls.ports import NotAnswered
from tests.flow.fake_telephony import FakeTelephony
from tests.flow.story import WAITING, Story
from tests.flow.transfers import TRANSFERS

W = TypeVar("W", bound=FakeTelephony)
T = TypeVar("T")
PATIENCE = 100  # turns in which a caller has heard and answered all that is asked


SERVED = (
    Outcome.TALKED,
    Outcome.REDIRECTED,
    Outcome.NOBODY_FREE,
    Outcome.CALLBACK,
    Outcome.MESSAGE,
    Outcome.BLOCKED,
)


ENDLESS = 2000  # turns of the loop that no story takes
QUIET = 10  # turns in which something happens, unless all of them wait


BUSY = NotAnswered("busy")


LATE = NotAnswered("no_answer")


def asks_for_callback(
    presses: Mapping[str, Sequence[str | None]],
    interrupts: Mapping[str, str] | None = None,
    *,
    number: str | None = "+77011234567",
    promises_succeed: bool = True,
) -> Story:
    """Return a story of a callback request; without one the caller goes to 1414."""
    return Story(
        {"lang_choice": "0", "offer_stay": "23", **presses},
        dict(interrupts or {}),
        unified_center=[""],
        signed_in=frozenset(),
        patience=3 * PATIENCE,
        number=number,
        promises_succeed=promises_succeed,
    )


def leaves_message(
    presses: Mapping[str, Sequence[str | None]],
    interrupts: Mapping[str, str] | None = None,
    *,
    shortest: float = 0,
    promises_succeed: bool = True,
) -> Story:
    """Return a story of a voicemail; without one the caller goes to 1414."""
    return Story(
        {"lang_choice": "0", "offer_stay": "43", **presses},
        dict(interrupts or {}),
        unified_center=[""],
        signed_in=frozenset(),
        patience=3 * PATIENCE,
        message_shortest=shortest,
        promises_succeed=promises_succeed,
    )


ENDINGS = {
    **TRANSFERS,
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
    "a mark": (
        Story({"lang_choice": "0", "survey": "4"}, consultants=["*15"]),
        Outcome.TALKED,
    ),
    "danger in place of a mark": (
        Story({"lang_choice": "0"}, {"survey": "**"}, consultants=["*15", ""]),
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
        asks_for_callback({"callback_enter": "102#42#42#"}, number=None),
        Outcome.REDIRECTED,
    ),
    "a callback is not safe": (asks_for_callback({"callback_safe": "3"}), Outcome.REDIRECTED),
    "no word whether a callback is safe": (asks_for_callback({}), Outcome.REDIRECTED),
    "a callback cannot be kept": (
        asks_for_callback({"callback_safe": "1"}, promises_succeed=False),
        Outcome.REDIRECTED,
    ),
    "danger while a callback is agreed on": (
        asks_for_callback({}, {"callback_number": "**"}),
        Outcome.REDIRECTED,
    ),
    "a callback at the very end": (
        Story({"lang_choice": "0", "message_offer": "2", "callback_safe": "1"}),
        Outcome.CALLBACK,
    ),
    "a message": (leaves_message({"message_speak": "75#"}), Outcome.MESSAGE),
    "a message of the longest": (leaves_message({}), Outcome.MESSAGE),
    "a message with nothing in it": (
        leaves_message({"message_speak": "#"}, shortest=60),
        Outcome.REDIRECTED,
    ),
    "a message cannot be kept": (leaves_message({}, promises_succeed=False), Outcome.REDIRECTED),
    "danger in a message": (
        leaves_message({"message_speak": "7**#"}),
        Outcome.REDIRECTED,
    ),
    "danger told at the very end": (
        Story({"lang_choice": "0", "message_offer": "8"}, unified_center=[BUSY, ""]),
        Outcome.REDIRECTED,
    ),
    "two stars in the last words": (
        Story({"lang_choice": "0"}, {"nobody_reached": "**"}, unified_center=[BUSY, ""]),
        Outcome.REDIRECTED,
    ),
    "two stars in the goodbye": (
        Story({"lang_choice": "0"}, {"goodbye": "**"}, consultants=["", ""]),
        Outcome.TALKED,
    ),
    "a message at the very end": (
        Story({"lang_choice": "0", "message_offer": "4", "message_speak": "#"}),
        Outcome.MESSAGE,
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
    "where do I stand": (
        Story({"lang_choice": "0", WAITING: "0"}, patience=PATIENCE),
        Outcome.NOBODY_FREE,
    ),
    "a key to the music before anything was asked": (
        Story({"lang_choice": "0", WAITING: "4", "message_speak": "#"}, patience=PATIENCE),
        Outcome.NOBODY_FREE,
    ),
    "1414 by a key to the music, the question being known": (
        Story(
            {"lang_choice": "0", "offer_stay": "1", WAITING: "*3"},
            unified_center=[""],
            signed_in=frozenset(),
            patience=3 * PATIENCE,
        ),
        Outcome.REDIRECTED,
    ),
    "cannot speak, told while waiting": (
        Story({"lang_choice": "0", WAITING: "5"}, patience=PATIENCE, unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "in danger, and nobody takes the call": (
        Story({"lang_choice": "8"}, unified_center=[""]),
        Outcome.REDIRECTED,
    ),
    "in danger, and nobody is signed in": (
        Story({"lang_choice": "8"}, unified_center=[""], signed_in=frozenset()),
        Outcome.REDIRECTED,
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
    "cannot speak, told on the way to 1414": (
        Story(
            {"lang_choice": "2", "menu_main": "3"},
            {"transfer_ecc": "5"},
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


async def run_story(telephony: FakeTelephony) -> Outcome:
    """Run the whole story; returns the outcome and asserts that nothing is left."""
    outcome = await inbound_call(telephony.call())
    assert_nothing_left(telephony)
    return outcome


def assert_nothing_left(telephony: FakeTelephony) -> None:
    assert telephony.held == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(telephony.record.recordings.values()), "a recording was not said to be stopped"


def cuts(
    story: Story, how: Callable[[FakeTelephony, asyncio.Task[Outcome]], object]
) -> AsyncIterator[tuple[FakeTelephony, asyncio.Task[Outcome]]]:
    """Run a story and interrupt it at every turn, see `cuts_of`."""
    return cuts_of(
        lambda: FakeTelephony(story), lambda telephony: inbound_call(telephony.call()), how
    )


async def cuts_of(
    made: Callable[[], W],
    tell: Callable[[W], Coroutine[Any, Any, T]],
    how: Callable[[W, asyncio.Task[T]], object],
) -> AsyncIterator[tuple[W, asyncio.Task[T]]]:
    """Run anew and interrupt after each number of turns of the event loop, up to the end.

    Of a wait in which nothing happens only the first turns are cut: the others are like them.
    """
    for turns in await _turns_to_cut(made, tell):
        telephony = made()
        telling = asyncio.create_task(tell(telephony))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not telling.done(), "the story is not the same each time"
        how(telephony, telling)
        await asyncio.wait((telling,))
        assert_nothing_left(telephony)
        yield telephony, telling


async def _turns_to_cut(
    made: Callable[[], W], tell: Callable[[W], Coroutine[Any, Any, T]]
) -> list[int]:
    telephony = made()
    telling = asyncio.create_task(tell(telephony))
    states: list[tuple[object, ...]] = []
    while not telling.done():
        assert len(states) < ENDLESS, "the story does not end"
        states.append((telephony.operations, len(telephony.record.events), tuple(telephony.held)))
        await asyncio.sleep(0)
    await telling
    assert len(states) > 2, "the story was never cut"
    quiet = (turn for turn in range(QUIET, len(states)) if states[turn - QUIET] == states[turn])
    return sorted(set(range(len(states))) - set(quiet))
