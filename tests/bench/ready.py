"""From "the consultant is ready" to "their telephone rings", while hundreds wait."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.storage.redis import open_redis
from callcenter.sipphone.sip import Place, Request, user_of
from tests.asterisk.switch import CONSULTANTS, OPERATOR, PASSWORD
from tests.bench.results import Spread
from tests.bench.sides import Product, Stock, until
from tests.bench.stock import extensions
from tests.bench.telephones import Callers, Consultants, PlacedCall, RungLeg

WAITING = 300  # callers
RATE = 15.0  # new ones a second
LONG = 280.0  # seconds after which one gives up: within the patience of the line
TIMES = 60
LIMIT = 10.0  # seconds for a telephone to ring
SETTLE = 0.3  # seconds for the distributor to hear that the telephone refused


class Refusing(Consultants):
    """A softphone that notes when it is rung, and is busy: the next of those who wait rings it."""

    def _rung(self, invite: Request, origin: Place) -> None:
        extension, caller = user_of(invite.uri), user_of(invite.need("From"))
        self.legs.append(RungLeg(extension, caller, time.monotonic()))
        self._hub.respond(invite, origin, 486)


async def ready(built: Path, say: Callable[[str], None]) -> Spread:
    """Milliseconds from the request until the INVITE is received, `TIMES` times."""
    (extension,) = extensions(1)
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        side = Product(Path(folder) / "v", built, Stock(1))
        redis = open_redis(side.settings)
        presence = PresenceService(redis, side.settings)
        try:
            await side.start()
            server = (str(side.settings.sip_address), side.settings.sip_port)
            async with (
                Refusing(server, CONSULTANTS, PASSWORD) as telephone,
                Callers(server, OPERATOR) as callers,
                asyncio.TaskGroup() as tasks,
            ):
                await telephone.register([extension])
                await side.consultants_free()
                await presence.ask(extension, PresenceState.PAUSED, by="self", reason="lunch")
                calls: list[PlacedCall] = []
                calling = []
                for _ in range(WAITING):
                    calling.append(tasks.create_task(callers.call(LONG, calls)))
                    await asyncio.sleep(1 / RATE)

                async def all_wait() -> bool:
                    return bool(await redis.zcard("desk:waiting") >= WAITING)

                await until(all_wait, f"{WAITING} callers wait", 60.0)
                say(f"{WAITING} callers wait")
                took = [await _once(presence, extension, telephone) for _ in range(TIMES)]
                for call in calling:
                    call.cancel()
        finally:
            await redis.aclose()
            await side.stop()
    return Spread.of(took)


async def _once(presence: PresenceService, extension: str, telephone: Consultants) -> float:
    before, begun = len(telephone.legs), time.monotonic()
    await presence.ask(extension, PresenceState.READY, by="self")
    async with asyncio.timeout(LIMIT):
        while len(telephone.legs) == before:
            await asyncio.sleep(0.001)
    await asyncio.sleep(SETTLE)
    return (telephone.legs[before].invite_at - begun) * 1000


def shown(took: Spread) -> str:
    return (
        f"ready to INVITE with {WAITING} waiting, {TIMES} times: "
        f"p50 {took.p50:.1f}, p95 {took.p95:.1f}, worst {took.worst:.1f} ms"
    )
