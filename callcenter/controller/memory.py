"""Where each call is (`callcenter.line.whereabouts`), in Redis, for whoever goes on with it.

Not at the call's leg in the switch: to set a variable of a channel waits for the prompt that plays
there, and all other requests of the controller with it (measured).
"""

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.line.whereabouts import Whereabouts, read

log = logging.getLogger(__name__)

LIMIT = 0.5  # seconds for Redis to answer
COMPANY = 0.02  # seconds that a change waits for others: a call makes several at once
AGAIN = 1.0  # seconds before what could not be kept is tried again
KEPT = 12 * 3600  # seconds: no call lasts longer


class CallMemory:
    """One controller's; `run` must be running for anything to be kept."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._changed: dict[str, str | None] = {}
        self._some = asyncio.Event()

    def keep(self, leg: str, where: str | None) -> None:
        """Keep where the call of this leg is (None: it is over); returns at once."""
        self._changed[leg] = where
        self._some.set()

    async def where(self, leg: str) -> Whereabouts | None:
        """Where a call is; None when it was not kept, or Redis does not answer."""
        try:
            async with asyncio.timeout(LIMIT):
                written = await self._redis.get(_key(leg))
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("where call %s is cannot be read: %s", leg, exc or "no answer")
            return None
        return read(str(written)) if written is not None else None

    async def run(self) -> None:
        """Keep what changes, the last word of each call, until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(COMPANY)
            self._some.clear()
            changed, self._changed = self._changed, {}
            try:
                async with asyncio.timeout(LIMIT):
                    await self._write(changed)
            except (RedisError, OSError, TimeoutError) as exc:
                log.error("where calls are cannot be kept: %s", exc or "no answer")
                self._changed = changed | self._changed
                self._some.set()
                await asyncio.sleep(AGAIN)

    async def _write(self, changed: dict[str, str | None]) -> None:
        async with self._redis.pipeline(transaction=False) as together:
            for leg, where in changed.items():
                if where is None:
                    together.delete(_key(leg))
                else:
                    together.set(_key(leg), where, ex=KEPT)
            await together.execute()


def _key(leg: str) -> str:
    return f"call:where:{leg}"
