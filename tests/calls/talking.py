"""Conversations for tests: who hears whom, told apart by tones, and how long nothing is heard."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from callcenter.sipphone.audio import RATE, Codec, Pcm, loudness
from callcenter.sipphone.call import SipCall
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand
from tests.calls.call_center import CALLER_TONE, CONSULTANT_TONE, CallCenter
from tests.orders import command_client
from tests.polling import until

LOUD, QUIET = -35.0, -50.0  # dBFS of a tone that is heard, and of one that is not
THIRD_PARTY_TONE = 1700.0
STRETCH = 0.4  # seconds in which a tone is looked for


@dataclass
class Talk:
    """A caller and the consultant, each sending a tone of its own."""

    caller: SipCall
    consultant: SipCall


@asynccontextmanager
async def talking(
    call_center: CallCenter,
    number: str,
    extension: str = "201",
    codecs: Sequence[Codec] = ("PCMA", "PCMU"),
) -> AsyncIterator[Talk]:
    """A caller and a consultant hear each other. Both leave at the end.

    `codecs` are those of the caller's telephone.
    """
    async with (
        call_center.consultant(extension) as phone,
        call_center.caller(number, codecs) as caller,
    ):
        await caller.press("11")  # no word is between these keys and the consultant
        leg = await phone.next_call()
        await leg.answer()
        caller.send_tone(CALLER_TONE)
        leg.send_tone(CONSULTANT_TONE)
        await hears_tone(caller, CONSULTANT_TONE)
        await hears_tone(leg, CALLER_TONE)
        await call_center.takes_orders(extension)
        yield Talk(caller, leg)


async def order(call_center: CallCenter, extension: str, what: str, **detail: str) -> Answer:
    """Ask the call of a consultant for something, as the API does."""
    return await command_client(call_center.redis).send_to_consultant(
        extension, CallCommand(what, "self", detail)
    )


def level_now(call: SipCall, hertz: float) -> float:
    """How loud a tone is in what reached somebody just now, in dBFS."""
    return loudness(call.heard.pcm(time.monotonic() - STRETCH), hertz)


async def hears_tone(call: SipCall, hertz: float) -> None:
    """Wait until somebody hears a tone."""

    async def heard() -> bool:
        return level_now(call, hertz) > LOUD

    await until(heard, f"a tone of {hertz:g} Hz is heard")


async def hears_no_tone(call: SipCall, hertz: float) -> None:
    """Wait until somebody hears a tone no more, for as long as one looks for it."""

    async def unheard() -> bool:
        return level_now(call, hertz) < QUIET

    await until(unheard, f"a tone of {hertz:g} Hz is not heard")


def longest_silence(call: SipCall, since: float) -> float:
    """Seconds of the longest stretch from `since` to the last packet in which nothing was heard."""
    block = RATE // 50
    sound: Pcm = call.heard.pcm(since)
    blocks = sound[: len(sound) // block * block].reshape(-1, block).astype(np.float64)
    quiet = np.sqrt(2 * np.mean(blocks**2, axis=1)) / 32768 < 10 ** (-60 / 20)
    longest = run = 0
    for each in quiet:
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest * 0.02


def loudest(call: SipCall, hertz: float, since: float, until: float) -> float:
    """How loud a tone was at its loudest between two moments, in dBFS."""
    sound = call.heard.pcm(since)[: round((until - since) * RATE)]
    size = RATE // 10
    return max(loudness(sound[at : at + size], hertz) for at in range(0, len(sound) - size, size))


async def a_moment() -> None:
    """Let sound come for a second: what is measured is what reached somebody in it."""
    await asyncio.sleep(1.0)
