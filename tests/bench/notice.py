"""From a death to help: of a controller, of all, of Asterisk, as `callcenter up` mends it."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.secrets import read_secret
from callcenter.sipphone.phone import Phone
from tests.asterisk.switch import OPERATOR
from tests.bench.results import Spread
from tests.bench.sides import Product, Stock, until

TIMES = 10
LIMIT = 30.0
FAILED = (CallcenterError, OSError, TimeoutError, ValueError, aiohttp.ClientError)
SETTLE = 3.0  # seconds for the controllers to know of each other again
CONTROLLERS = ("line-1", "line-2")


@dataclass(frozen=True)
class Noticed:
    """Each in ms."""

    taken: Spread  #: from a controller's SIGKILL until another has its caller
    fallen_back: Spread  #: from when all controllers hang until their caller is in the fallback
    answering: Spread  #: from Asterisk's SIGKILL until the next caller is answered by a controller


async def notice(built: Path, say: Callable[[str], None]) -> Noticed:
    """One caller at a time, in the greeting."""
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        side = Product(Path(folder) / "v", built, Stock(1))
        try:
            await side.start()
            measured = []
            for what in (_taken, _fallen_back, _answering):
                took = []
                for _ in range(TIMES):
                    await asyncio.sleep(SETTLE)
                    took.append(await what(side) * 1000)
                measured.append(Spread.of(took))
                say(f"{what.__name__.strip('_')}: {', '.join(f'{each:.0f}' for each in took)} ms")
        finally:
            await side.stop()
    return Noticed(*measured)


async def _taken(side: Product) -> float:
    async with _greeted(side) as (ask, caller):
        first = await _instance(ask, caller)
        began = time.monotonic()
        side.part(first.partition(".")[0]).kill()

        async def is_taken() -> bool:
            return await _instance(ask, caller) not in ("", first)

        await until(is_taken, "another controller has the caller", LIMIT)
        took = time.monotonic() - began
    for name in CONTROLLERS:
        await side.part(name).serving(LIMIT)
    return took


async def _fallen_back(side: Product) -> float:
    async with _greeted(side) as (ask, caller):
        began = time.monotonic()
        for name in CONTROLLERS:
            os.kill(side.pid(name), signal.SIGSTOP)  # nobody starts again what lives

        async def is_there() -> bool:
            reported = await ask(f"channels/{caller}")
            return bool(reported["dialplan"]["context"] == "fallback")

        await until(is_there, "the caller is in the fallback", LIMIT)
        took = time.monotonic() - began
    for name in CONTROLLERS:  # the watchdog has killed those
        await side.part(name).serving(LIMIT)
    return took


async def _answering(side: Product) -> float:
    began = time.monotonic()
    side.part("asterisk").kill()

    async def is_served() -> bool:
        try:
            async with asyncio.timeout(2.0), _greeted(side) as (ask, caller):
                return bool(await _instance(ask, caller))
        except FAILED:
            return False

    await until(is_served, "a caller is answered", LIMIT)
    return time.monotonic() - began


Ask = Callable[[str], Awaitable[Any]]


@asynccontextmanager
async def _greeted(side: Product) -> AsyncIterator[tuple[Ask, str]]:
    """A caller who was answered: how to ask ARI, and the id of the channel."""
    settings = side.settings
    auth = aiohttp.BasicAuth("callcenter", read_secret(settings.secrets_folder, "ari"))
    server = (str(settings.sip_address), settings.sip_port)
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{settings.ari_port}/ari/", auth=auth) as session,
        Phone(address=OPERATOR, server=server, user="+77010000001") as phone,
    ):

        async def ask(path: str) -> Any:
            async with session.get(path) as answer:
                return await answer.json()

        call = await phone.call("111")
        await call.answered()
        call.send_silence()
        (reported,) = await ask("channels")
        yield ask, reported["id"]
        await call.hang_up()


async def _instance(ask: Ask, caller: str) -> str:
    """The life of a controller that has this channel; empty when none does."""
    for application in await ask("applications"):
        if caller in application["channel_ids"]:
            return str(application["name"])
    return ""


def shown(noticed: Noticed) -> str:
    rows = {
        "a controller is killed: another has its caller": noticed.taken,
        "all controllers hang: their caller is in the fallback": noticed.fallen_back,
        "Asterisk is killed: a controller has answered a caller": noticed.answering,
    }
    return "\n".join(
        f"{what:<56} p50 {took.p50:>6.0f}, worst {took.worst:>6.0f} ms"
        for what, took in rows.items()
    )
