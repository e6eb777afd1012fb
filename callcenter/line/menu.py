"""What the caller chooses by key: the language (R2), then what the call is for.

The state language comes first. A caller who presses nothing, or twice something else, may be
unable to do better: that caller gets Kazakh and a consultant, and is never hung up on. 0 is a
consultant anywhere. Keys of urgent callers are said here and heard in `urgency`.
"""

from enum import StrEnum

from callcenter.line.call import Call
from callcenter.line.outcomes import Moment, Outcome

LANGUAGES = {"1": "kk", "2": "ru"}
CONSULTANT_KEY = "0"
REPEAT_KEY = "9"
TRIES = 2
KEYS_IGNORED = 10  # of a blocked caller, before the call ends
REPEATS = 5  # a caller who keeps asking for the menu is better served by a person


class Wish(StrEnum):
    """What the caller wants, as the main menu offers it."""

    CONSULTANT = "consultant"  #: to speak with a consultant
    STATUS = "status"  #: to learn how an appeal stands (R13)
    UNIFIED_CENTER = "unified_center"  #: public services: 1414 is competent (R15)


WISHES = {
    "1": Wish.CONSULTANT,
    "2": Wish.STATUS,
    "3": Wish.UNIFIED_CENTER,
    CONSULTANT_KEY: Wish.CONSULTANT,
}


async def choose_language(call: Call) -> bool:
    """Settle the caller's language; False when the caller should go straight to a consultant."""
    call.record.moment(Moment.GREETING)
    opening = [
        call.sounds.sound("kk", "greeting"),
        call.sounds.sound("kk", "lang_choice"),
        call.sounds.sound("ru", "greeting_short"),
        call.sounds.sound("ru", "lang_choice"),
        call.sounds.sound("kk", "urgent_keys"),
        call.sounds.sound("ru", "urgent_keys"),
    ]
    for attempt in range(TRIES):
        key = await _ask(call, opening)
        if key in LANGUAGES:
            _settle(call, LANGUAGES[key], "key")
            await call.leg.speaks(call.language)
            return True
        if key == CONSULTANT_KEY:
            break
        if attempt + 1 < TRIES:
            await say_in_both(call, "err_noinput" if key is None else "err_invalid")
    settle_by_default(call)
    return False


def settle_by_default(call: Call) -> None:
    """Kazakh for a caller who chose no language; nothing changes for one who did."""
    if not call.language_settled:
        _settle(call, "kk", "default")


async def turn_away(call: Call) -> None:
    """Tell a blocked caller so, in both languages, and where to call in danger."""
    call.if_left = Outcome.BLOCKED
    call.record.moment(Moment.BLOCKED)
    await say_in_both(call, "blocked")
    for _ in range(KEYS_IGNORED):  # what was pressed meanwhile must not cut off the key of danger
        if await call.leg.key(call.times.key_timeout) is None:
            return


async def give_notice(call: Call) -> str | None:
    """Where to call in danger, and that the conversation is recorded; a key cuts it short.

    Returns that key, which is meant for the menu that follows. A notice of recording that was
    cut is given again while the caller waits.
    """
    key = await call.say("emergency_hint", "recording_notice")
    call.notice_heard = key is None
    call.record.moment(Moment.NOTICE, whole=call.notice_heard)
    return key


async def main_menu(call: Call, typed: str | None) -> Wish:
    """What the call is for; `typed` is a key pressed before the menu began."""
    call.record.moment(Moment.MENU)
    prompts = ("menu_main", "urgent_keys", "danger_stars")
    menu = [call.sounds.sound(call.language, prompt) for prompt in prompts]
    wrong = repeats = 0
    key = typed or await _ask(call, menu)
    while key not in WISHES:
        if key == REPEAT_KEY:
            repeats += 1
        else:
            wrong += 1
        if wrong == TRIES or repeats > REPEATS:
            await call.say("err_to_agent")
            return _chosen(call, Wish.CONSULTANT, "default")
        if key != REPEAT_KEY:
            await call.say("err_noinput" if key is None else "err_invalid")
        key = await _ask(call, menu)
    return _chosen(call, WISHES[key], "key")


async def _ask(call: Call, sounds: list[str]) -> str | None:
    """A key pressed during the sounds or within the set time after them."""
    return await call.leg.play(sounds) or await call.leg.key(call.times.key_timeout)


async def say_in_both(call: Call, prompt: str) -> None:
    """Before a language is settled, everything is said in both; keys are kept for the question."""
    sounds = [call.sounds.sound(language, prompt) for language in ("kk", "ru")]
    await call.leg.play(sounds, until_key=False)


def _settle(call: Call, language: str, how: str) -> None:
    call.language = language
    call.language_settled = True
    call.record.language(language)
    call.record.moment(Moment.LANGUAGE, language=language, how=how)
    call.if_left = Outcome.LEFT_IN_MENU


def _chosen(call: Call, wish: Wish, how: str) -> Wish:
    call.record.moment(Moment.CHOICE, choice=wish.value, how=how)
    return wish
