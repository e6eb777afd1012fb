"""Queue control by supervisors: pause a queue for a time, assign a waiting call.

A queue is that of one language, or all. While it is paused no offers are made from it; callers
wait with their announcements. Urgent calls, and calls for one consultant, ignore pauses.
"""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.redis_script import (
    REDIS_TIMEOUT,
    DistributorScript,
    DistributorUnavailable,
    WorkRules,
)
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.acd.paused_queues import QueuePause, check_pause, check_queue, read_pauses


class QueueControl:
    """Queue control, from any process."""

    def __init__(self, redis: Redis, rules: WorkRules) -> None:
        self._redis = redis
        self._script = DistributorScript(redis, rules)

    async def pause_queue(self, queue: str, seconds: float, *, by: str, reason: str) -> None:
        """Pause a queue for `seconds` from now, also when it is paused already.

        Raises InvalidRequest for an unknown queue or time, DistributorUnavailable.
        """
        check_pause(queue, seconds)
        await self._script("hold_back", queue, f"{seconds:.3f}", by, reason)

    async def resume_queue(self, queue: str) -> None:
        """Resume a queue; idempotent. Raises InvalidRequest, DistributorUnavailable."""
        check_queue(queue)
        await self._script("let_on", queue)

    async def assign_call(self, call_id: str, extension: str, *, by: str) -> None:
        """Offer a waiting call to this consultant now, whatever the skills.

        Raises NotWaiting; LanguageNotSpoken, for only the caller may choose another language;
        NotFree unless the consultant is idle or in wrap-up; NotOnRoster,
        DistributorUnavailable."""
        await self._script("hand_out", call_id, extension, by)

    async def paused_queues(self) -> list[QueuePause]:
        """Return the queues that are paused now. Raises DistributorUnavailable."""
        try:
            async with answer_within(REDIS_TIMEOUT):
                seconds, microseconds = await self._redis.time()
                entries = await self._redis.hgetall("desk:holds")
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(
                f"cannot read what is held back: {exc or 'no answer'}"
            ) from exc
        pauses = {str(queue): str(entry) for queue, entry in entries.items()}
        return read_pauses(pauses, seconds + microseconds / 1_000_000)
