"""What a caller hears, and when, from the RTP that reached the caller (items 7 and 14)."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from callcenter.sipphone.audio import Pcm, decode, first_loud, resembles
from callcenter.sipphone.call import SipCall
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import HEARD, CallCenter
from tests.calls.stall_meter import Stalls
from tests.polling import require_within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: Prompts that a caller may hear after the choice of a language.
AFTER_THE_CHOICE = (
    "emergency_hint",
    "recording_notice",
    "menu_main",
    "err_noinput",
    "err_to_agent",
    "connecting",
    "queue_hold",
    "nobody_free",
    "nobody_reached",
)
CHOICES = {"kk": "1", "ru": "2"}


@asynccontextmanager
async def busy_consultant(call_center: CallCenter) -> AsyncIterator[None]:
    """Somebody is signed in who speaks both languages, and talks with another caller."""
    async with (
        call_center.consultant("204") as consultant,
        call_center.caller("+77050000000") as other,
    ):
        await other.press("0")
        await (await consultant.next_call()).answer()
        yield


async def test_a_key_interrupts_a_prompt_within_200_milliseconds(call_center: CallCenter) -> None:
    async with (
        busy_consultant(call_center),
        call_center.caller("+77050000001") as caller,
        Stalls() as stalls,
    ):
        await call_center.hears(caller, "kk", "greeting")
        language = await pressed(caller, "2")
        await call_center.hears(caller, "ru", "emergency_hint")
        notice = await pressed(caller, "9")
        await call_center.hears(caller, "ru", "menu_main")
        menu = await pressed(caller, "1")
        await call_center.hears(caller, "ru", "connecting")
        for moment, then in (
            (language, "emergency_hint"),
            (notice, "menu_main"),
            (menu, "connecting"),
        ):
            late = heard_at(call_center, caller, "ru", then) - moment
            assert late > 0.0, then
            require_within(late, 0.2 + stalls.longest, then)


async def pressed(call: SipCall, key: str) -> float:
    """Presses a key; the moment at which the end of its RFC 4733 event was sent."""
    await call.press(key, gap=0)
    return time.monotonic()


def heard_at(call_center: CallCenter, call: SipCall, language: str, prompt: str) -> float:
    """When the beginning of a prompt reached the caller: the arrival of its first loud packet.

    The switch plays a prompt as it is, so the packet has the very bytes of the file.
    """
    path = call_center.settings.prompts / language / f"{prompt}.alaw"
    data = path.read_bytes()
    starts = first_loud(decode(data, "PCMA"))
    assert starts is not None
    at = round(starts * 50) * 160
    arrived = [p.arrived_at for p in call.heard.packets if p.payload == data[at : at + 160]]
    assert len(arrived) == 1, f"{prompt} was played {len(arrived)} times"
    return arrived[0] - at / 8000


async def test_a_waiting_caller_never_hears_silence_for_long(call_center: CallCenter) -> None:
    async with busy_consultant(call_center), call_center.caller("+77050000002") as caller:
        await caller.press("0")
        waits_since = time.monotonic()
        # To the end of the call center's patience, and 1414, where nobody answers.
        await caller.ended(30)
        sound = caller.heard.pcm(waits_since)
    assert len(sound) > 8000 * call_center.settings.patience
    assert longest_silence(sound) < 1.5


def longest_silence(sound: Pcm, threshold: float = -55.0) -> float:
    """Seconds of the longest stretch without 20 ms louder than `threshold` dBFS."""
    blocks = sound[: len(sound) // 160 * 160].astype(np.float64).reshape(-1, 160)
    loud = np.sqrt(2 * np.mean(blocks**2, axis=1)) / 32768 > 10 ** (threshold / 20)
    edges = np.flatnonzero(np.concatenate(([True], loud, [True])))
    return float((np.diff(edges).max() - 1) * 0.02)


@pytest.mark.parametrize("language", ["kk", "ru"])
async def test_after_the_choice_only_the_chosen_language_is_heard(
    call_center: CallCenter, language: str
) -> None:
    number = "+77050000003" if language == "kk" else "+77050000004"
    other = "ru" if language == "kk" else "kk"
    async with busy_consultant(call_center), call_center.caller(number) as caller:
        await call_center.hears(caller, "kk", "greeting")
        chosen_at = await pressed(caller, CHOICES[language])
        await call_center.hears(caller, language, "emergency_hint")
        # Silent in the menu, then a wrong key, then nobody is free, and 1414 neither.
        await call_center.hears(caller, language, "err_noinput", 20)
        await until_repeated(call_center, caller, language)
        await caller.press("7")
        await caller.ended(30)
        sound = caller.heard.joined(chosen_at)
    assert (await call_center.appeal(number)).outcome == Outcome.NOBODY_FREE
    # As a whole: some begin with the same words.
    own = {
        p: resembles(sound, call_center.prompt(language, p), seconds=None) for p in AFTER_THE_CHOICE
    }
    assert {p for p, like in own.items() if like < HEARD} == set()
    later = sound[1600:]  # 200 ms for the greeting to fall silent
    strange = {p: resembles(later, call_center.prompt(other, p)) for p in AFTER_THE_CHOICE}
    assert {p for p, like in strange.items() if like >= HEARD} == set()


async def until_repeated(call_center: CallCenter, call: SipCall, language: str) -> None:
    """Until the menu is heard after the caller was told that no key came."""
    told_at = heard_at(call_center, call, language, "err_noinput")
    await call_center.hears(call, language, "menu_main", since=told_at)
