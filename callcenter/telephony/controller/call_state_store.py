"""Resumable call states (`calls.call_state`) in Redis, for the controller that takes over.

Not as variables of channels: to set one waits for the prompt that plays there, and all other
requests of the controller with it (measured).
"""

import asyncio
import logging
from collections.abc import Mapping
from itertools import chain

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.telephony.calls.call_state import CallState, from_json

log = logging.getLogger(__name__)

REDIS_TIMEOUT = 0.5  # seconds for Redis to answer
BATCH_INTERVAL = 0.02  # seconds that a change waits for others: a call makes several at once
RETRY_INTERVAL = 1.0  # seconds before what could not be saved is tried again
EXPIRES_AFTER = 12 * 3600  # seconds: no call lasts longer
# Seconds, then keys and states in turn: an empty state is of a call that is over.
SAVE = """
    for i = 2, #ARGV, 2 do
        if ARGV[i + 1] == '' then redis.call('DEL', ARGV[i])
        else redis.call('SET', ARGV[i], ARGV[i + 1], 'EX', ARGV[1]) end
    end
"""


class RedisCallStateStore:
    """States of one controller's calls; `run` must be running for anything to be saved."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._save = redis.register_script(SAVE)
        self._changed: dict[str, CallState | None] = {}
        self._has_changes = asyncio.Event()

    def save(self, leg: str, state: CallState | None) -> None:
        """Save the state of the call of this leg (None: it is over); returns at once."""
        self._changed[leg] = state
        self._has_changes.set()

    async def load(self, leg: str) -> CallState | None:
        """The state of a call; None when none was saved, or Redis does not answer."""
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                written = await self._redis.get(_key(leg))
        except (RedisError, OSError, TimeoutError) as exc:
            log.error("call state not read: %s: %s", leg, exc or "no answer")
            return None
        return from_json(str(written)) if written is not None else None

    async def run(self) -> None:
        """Write what changed, the last state of each call, until cancelled."""
        while True:
            await self._has_changes.wait()
            await asyncio.sleep(BATCH_INTERVAL)
            self._has_changes.clear()
            changed, self._changed = self._changed, {}
            try:
                async with asyncio.timeout(REDIS_TIMEOUT):
                    await self._write(changed)
            except (RedisError, OSError, TimeoutError) as exc:
                log.error("call states not saved: %s", exc or "no answer")
                self._changed = changed | self._changed
                self._has_changes.set()
                await asyncio.sleep(RETRY_INTERVAL)

    async def _write(self, changed: Mapping[str, CallState | None]) -> None:
        states = ((_key(leg), state.to_json() if state else "") for leg, state in changed.items())
        await self._save(args=[EXPIRES_AFTER, *chain.from_iterable(states)])


def _key(leg: str) -> str:
    return f"call:where:{leg}"
