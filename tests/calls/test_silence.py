"""A caller who waits never hears silence (R1), on the real Asterisk."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.audio import RATE, encode, tone
from callcenter.telephony.calls.prompts import Prompts
from tests.calls.call_center import CallCenter
from tests.calls.stall_meter import Stalls
from tests.calls.talking import longest_silence
from tests.calls.waiting import rings, times, waits
from tests.polling import require_within, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


class Humming(Prompts):
    """Every prompt is one tone: what is silent then is none of its words."""

    def __init__(self, folder: Path, lengths: dict[str, float], synthetic: list[str]) -> None:
        super().__init__(folder, lengths, synthetic)
        self.said = Counter[str]()

    def sound(self, language: str, prompt: str) -> str:
        self.said[prompt] += 1
        return super().sound(language, prompt)


@pytest.fixture
def humming(tmp_path: Path, built_prompts: Path) -> Humming:
    made = Settings(_env_file=None, var=tmp_path)
    shutil.copytree(built_prompts, made.prompts)
    for language in ("kk", "ru"):
        for file in (made.prompts / language).glob("*.alaw"):
            file.write_bytes(encode(tone(700, file.stat().st_size / RATE), "PCMA"))
    prompts = Humming.load(made)
    assert isinstance(prompts, Humming)
    return prompts


@contextmanager
def spoken_by(call_center: CallCenter, prompts: Prompts) -> Iterator[None]:
    services = [controller.call_service for controller in call_center.controllers]
    before = [service.dependencies for service in services]
    for service in services:
        service.dependencies = replace(service.dependencies, prompts=prompts)
    try:
        yield
    finally:
        for service, own in zip(services, before, strict=True):
            service.dependencies = own


async def test_a_waiting_caller_never_hears_silence_between_words_and_music(
    call_center: CallCenter, humming: Humming
) -> None:
    async def was_prompted_thrice() -> bool:
        return humming.said["offer_stay"] == 3

    await call_center.redis.set("desk:handling", 600)
    with (
        spoken_by(call_center, humming),
        times(call_center, announce_every=1.0, ask_every=3.0, key_timeout=2.0, patience=60),
    ):
        async with (
            call_center.paused_consultant("201") as presence,
            call_center.caller("+77030000010") as caller,
        ):
            await caller.press("11")
            await until(lambda: waits(call_center), "the caller waits")
            since = time.monotonic()
            async with Stalls() as stalls:
                await until(was_prompted_thrice, "words, music and questions, three times", 90)
                await presence.ask("201", PresenceState.READY, by="user:test")
                await until(lambda: rings(call_center, "+77030000010"), "a consultant is rung")
                await asyncio.sleep(1)
    await call_center.redis.delete("desk:handling")
    require_within(longest_silence(caller, since), 0.3 + stalls.longest, "silence")
