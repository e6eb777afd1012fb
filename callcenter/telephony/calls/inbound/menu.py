"""Menus: the caller's language (R2), then the reason for the call.

The state language comes first. A caller who presses nothing, or twice an invalid key, gets Kazakh
and a consultant, and is never hung up on. 0 is a consultant in any menu. The urgent keys are
announced here and read in `urgency`.
"""

from enum import StrEnum

from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.outcomes import CallEvent, Outcome

LANGUAGES = {"1": "kk", "2": "ru"}
CONSULTANT_KEY = "0"
REPEAT_KEY = "9"
TRIES = 2
KEYS_IGNORED = 10  # of a blocked caller, before the call ends
REPEATS = 5  # of the menu, before the caller goes to a consultant


class MenuChoice(StrEnum):
    """Choice in the main menu."""

    CONSULTANT = "consultant"  #: to speak with a consultant
    STATUS = "status"  #: the status of an appeal (R13)
    UNIFIED_CENTER = "unified_center"  #: public services: 1414 is competent (R15)


MENU_KEYS = {
    "1": MenuChoice.CONSULTANT,
    "2": MenuChoice.STATUS,
    "3": MenuChoice.UNIFIED_CENTER,
    CONSULTANT_KEY: MenuChoice.CONSULTANT,
}


async def choose_language(call: Call) -> bool:
    """Ask for the language; False when the caller should go straight to a consultant."""
    call.record.add_event(CallEvent.GREETING)
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
            _choose_language(call, LANGUAGES[key], "key")
            await call.leg.set_language(call.language)
            return True
        if key == CONSULTANT_KEY:
            break
        if attempt + 1 < TRIES:
            await say_in_both(call, "err_noinput" if key is None else "err_invalid")
    use_default_language(call)
    return False


def use_default_language(call: Call) -> None:
    """Set Kazakh unless the caller chose a language."""
    if not call.is_language_chosen:
        _choose_language(call, "kk", "default")


async def play_blocked_notice(call: Call) -> None:
    """Tell a blocked caller in both languages, and where to call in danger."""
    call.if_left = Outcome.BLOCKED
    call.record.add_event(CallEvent.BLOCKED)
    await say_in_both(call, "blocked")
    for _ in range(KEYS_IGNORED):  # keys pressed meanwhile must not hide the danger key
        if await call.leg.key(call.times.key_timeout) is None:
            return


async def play_recording_notice(call: Call) -> str | None:
    """Play where to call in danger, and that the conversation is recorded; a key interrupts.

    Returns that key, which is for the menu that follows. An interrupted recording notice is
    played again while the caller waits.
    """
    key = await call.say("emergency_hint", "recording_notice")
    call.recording_notice_played = key is None
    call.record.add_event(CallEvent.NOTICE, whole=call.recording_notice_played)
    return key


async def main_menu(call: Call, typed: str | None) -> MenuChoice:
    """Ask for the reason of the call; `typed` is a key pressed before the menu began."""
    call.record.add_event(CallEvent.MENU)
    prompts = ("menu_main", "urgent_keys", "danger_stars")
    menu = [call.sounds.sound(call.language, prompt) for prompt in prompts]
    wrong = repeats = 0
    key = typed or await _ask(call, menu)
    while key not in MENU_KEYS:
        if key == REPEAT_KEY:
            repeats += 1
        else:
            wrong += 1
        if wrong == TRIES or repeats > REPEATS:
            await call.say("err_to_agent")
            return _record_choice(call, MenuChoice.CONSULTANT, "default")
        if key != REPEAT_KEY:
            await call.say("err_noinput" if key is None else "err_invalid")
        key = await _ask(call, menu)
    return _record_choice(call, MENU_KEYS[key], "key")


async def _ask(call: Call, sounds: list[str]) -> str | None:
    """Return a key pressed during the sounds or within the set time after them."""
    return await call.leg.play(sounds) or await call.leg.key(call.times.key_timeout)


async def say_in_both(call: Call, prompt: str) -> None:
    """Play a prompt in both languages; keys stay for the next question."""
    sounds = [call.sounds.sound(language, prompt) for language in CALLER_LANGUAGES]
    await call.leg.play(sounds, until_key=False)


def _choose_language(call: Call, language: str, how: str) -> None:
    call.language = language
    call.is_language_chosen = True
    call.record.set_language(language)
    call.record.add_event(CallEvent.LANGUAGE, language=language, how=how)
    call.if_left = Outcome.LEFT_IN_MENU


def _record_choice(call: Call, choice: MenuChoice, how: str) -> MenuChoice:
    call.record.add_event(CallEvent.CHOICE, choice=choice.value, how=how)
    return choice
