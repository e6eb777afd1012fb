"""What supervisors do with those who wait: hold a queue back for a time, hand a call out.

A queue is that of one language, or all of them. While it is held back no offers are made from it;
callers wait on and hear what they hear. Urgent calls are never held back, nor is one that wants a
certain consultant.
"""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.holds import Hold, check_hold, check_queue, read_holds
from callcenter.consultants.script import LIMIT, DeskClosed, Rules, Script


class Directing:
    """What may be done with those who wait, from any process."""

    def __init__(self, redis: Redis, rules: Rules) -> None:
        self._redis = redis
        self._script = Script(redis, rules)

    async def hold_back(self, queue: str, seconds: float, *, by: str, reason: str) -> None:
        """Make no offers from a queue for so long; asked again it is so long from now.

        Raises AskedWrongly for a queue or time that there is not, DeskClosed.
        """
        check_hold(queue, seconds)
        await self._script("hold_back", queue, f"{seconds:.3f}", by, reason)

    async def let_on(self, queue: str) -> None:
        """Make offers again; asked twice is asked once. Raises AskedWrongly, DeskClosed."""
        check_queue(queue)
        await self._script("let_on", queue)

    async def hand_out(self, call_id: str, extension: str, *, by: str) -> None:
        """Offer a call that waits to this consultant now, whatever skills they have.

        Raises NotWaiting; NotSpoken, for nobody but the caller may choose another language;
        NotFree unless the consultant is free or past a conversation; NotOnRoster, DeskClosed.
        """
        await self._script("hand_out", call_id, extension, by)

    async def holds(self) -> list[Hold]:
        """The queues that are held back now. Raises DeskClosed."""
        try:
            async with asyncio.timeout(LIMIT):
                seconds, microseconds = await self._redis.time()
                entries = await self._redis.hgetall("desk:holds")
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot read what is held back: {exc or 'no answer'}") from exc
        told = {str(queue): str(entry) for queue, entry in entries.items()}
        return read_holds(told, seconds + microseconds / 1_000_000)
