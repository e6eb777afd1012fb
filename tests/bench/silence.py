"""The longest silence that waiting callers hear, from the RTP, through everything that can come.

Greeting, language, menu, queue, words, music, questions; a consultant is rung, declines, and the
caller is back with the music. When it is asked for, every prompt hums a tone for as long as it is:
what is silent then is no pause in somebody's speech.
"""

import asyncio
import shutil
import tempfile
from asyncio import Future
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.launcher.managed_process import LaunchContext
from callcenter.launcher.supervisor import LaunchPlan
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import open_redis
from callcenter.sipphone.audio import RATE, encode, tone
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.errors import CallOver
from callcenter.sipphone.phone import Phone
from tests.asterisk.switch import CONSULTANTS, OPERATOR, PASSWORD
from tests.bench.results import Spread
from tests.bench.sides import Product, Stock
from tests.bench.stock import extensions
from tests.calls.talking import longest_silence

CALLERS = 8
WAIT = 130.0  # seconds: words three times, and the question what to do instead of waiting
RINGS = 0.7  # seconds before the consultant declines
HUM = 700.0  # Hz


class WithGivenPrompts(Product):
    """All of ours, with the prompts that are given: none is made anew."""

    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        plan = super().plan(settings, around)
        stages = [[part for part in stage if part.name != "prompts"] for stage in plan.stages]
        return replace(plan, stages=stages)


@dataclass(frozen=True)
class Heard:
    longest: Spread  #: each caller's longest silence, in ms
    declined: int  #: times that a consultant was rung and declined


async def silence(built: Path, humming: bool, say: Callable[[str], None]) -> Heard:
    """What callers hear who wait while a consultant declines each of them in turn."""
    (extension,) = extensions(1)
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        played = _humming(built, Path(folder) / "hum") if humming else built
        side = WithGivenPrompts(Path(folder) / "v", played, Stock(1))
        redis = open_redis(side.settings)
        server = (str(side.settings.sip_address), side.settings.sip_port)
        try:
            await side.start()
            async with AsyncExitStack() as phones:
                consultant = await phones.enter_async_context(
                    Phone(address=CONSULTANTS, server=server, user=extension, password=PASSWORD)
                )
                await consultant.register(expires=3600)
                await side.consultants_free()
                callers = [
                    await phones.enter_async_context(
                        Phone(address=OPERATOR, server=server, user=f"+7701000000{number}")
                    )
                    for number in range(CALLERS)
                ]
                say(f"{CALLERS} callers wait for {WAIT:g} s")
                waiting = asyncio.gather(*(_waits(phone) for phone in callers))
                presence = PresenceService(redis, side.settings)
                declined = await _declines(consultant, presence, extension, waiting)
                longest = [_longest_silence(call) for call in await waiting]
        finally:
            await redis.aclose()
            await side.stop()
    return Heard(Spread.of(longest), declined)


async def _waits(phone: Phone) -> SipCall:
    """Presses 1 for the language and 1 for a consultant, each into the words, and waits."""
    call = await phone.call("111")
    await call.answered()
    for pause in (2.0, 4.0):
        await asyncio.sleep(pause)
        await call.press("1")
    await asyncio.sleep(WAIT)
    await call.hang_up()
    return call


def _longest_silence(call: SipCall) -> float:
    """In ms, from the first packet to the hang-up."""
    assert call.heard.first_packet_at is not None
    return longest_silence(call, call.heard.first_packet_at) * 1000


async def _declines(
    telephone: Phone, presence: PresenceService, extension: str, waiting: Future[list[SipCall]]
) -> int:
    """Declines whoever rings until all have waited; who misses two calls comes back to work."""
    declined = 0
    while not waiting.done():
        await presence.ask(extension, PresenceState.READY, by="self")
        with suppress(TimeoutError, CallOver):
            call = await telephone.next_call(1.0)
            await asyncio.sleep(RINGS)
            await call.reject(486)
            declined += 1
    return declined


def _humming(built: Path, folder: Path) -> Path:
    """The same prompts, each a tone."""
    shutil.copytree(built, folder)
    for language in ("kk", "ru"):
        for file in (folder / language).glob("*.alaw"):
            file.write_bytes(encode(tone(HUM, file.stat().st_size / RATE), "PCMA"))
    return folder


def shown(heard: Heard) -> str:
    return (
        f"longest silence of {CALLERS} callers in {WAIT:g} s, {heard.declined} offers declined: "
        f"p50 {heard.longest.p50:.0f}, worst {heard.longest.worst:.0f} ms"
    )
