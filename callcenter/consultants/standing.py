"""How a waiting call stands: its place, how long it may take, and whether anybody is there."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.accounts import LANGUAGES
from callcenter.consultants.alarms import Alarm, raise_alarm, raise_alarm_once
from callcenter.consultants.script import DeskClosed

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
URGENT_AGAIN = 300  # seconds after which an urgent caller who waits yet alarms once more
LIMIT = 0.25  # seconds for Redis to answer: the caller may hear nothing meanwhile


@dataclass(frozen=True, slots=True)
class Standing:
    """How a call stands among those that wait for consultants of one language, at one moment."""

    position: int  #: 1 is next; 0: it does not wait, as when a consultant is being rung for it
    expected_wait: float | None  #: seconds; None while nothing is known to foretell it from
    speakers: int  #: consultants signed in who speak the language, on a pause or not
    other_languages: frozenset[str]  #: in which somebody is signed in


class Queue:
    """What may be asked and said of the queue without changing it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(SCRIPT)

    async def standing(self, call_id: str, language: str) -> Standing:
        """How a call stands among those that wait for consultants who speak `language`.

        Raises DeskClosed after a quarter of a second.
        """
        try:
            async with asyncio.timeout(LIMIT):
                answer = await self._script(args=[call_id, language, *LANGUAGES])
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot look at the queue: {str(exc) or 'no answer'}") from exc
        return _read(answer, language)

    async def nobody_signed_in(self, call_id: str, language: str) -> None:
        """Alarm the supervisors: this call waits, and nobody signed in speaks `language`.

        It is logged in any case; never raises for Redis's sake.
        """
        log.error("call %s waits, and nobody who speaks %s is signed in", call_id, language)
        await _in_time(raise_alarm(self._redis, Alarm.NOBODY_SIGNED_IN, language))

    async def urgent_waits(self, call_id: str, language: str) -> None:
        """Alarm the supervisors, each five minutes for each call: an urgent caller waits too long.

        It is logged in any case; never raises for Redis's sake.
        """
        log.error("call %s is urgent and waits for a consultant who speaks %s", call_id, language)
        alarm = raise_alarm_once(
            self._redis, Alarm.URGENT_WAITS, language, f"urgent:{call_id}", within=URGENT_AGAIN
        )
        await _in_time(alarm)

    async def not_recorded(self, call_id: str, language: str) -> None:
        """Alarm the supervisors: it cannot be proved that this conversation is recorded.

        It is logged in any case; never raises for Redis's sake.
        """
        log.error("call %s: the conversation may be unrecorded", call_id)
        await _in_time(raise_alarm(self._redis, Alarm.NOT_RECORDED, language))

    async def recorded_again(self, call_id: str, language: str) -> None:
        """Tell the supervisors that this conversation is recorded from now on.

        It is logged in any case; never raises for Redis's sake.
        """
        log.warning("call %s: the conversation is recorded from now on", call_id)
        await _in_time(raise_alarm(self._redis, Alarm.RECORDED_AGAIN, language))

    async def callback_overdue(self, promise_id: UUID, language: str) -> None:
        """Alarm the supervisors, once a day for each promise: nobody was called back for too long.

        It is logged in any case; never raises for Redis's sake.
        """
        await self._overdue("callback", promise_id, Alarm.CALLBACK_OVERDUE, language)

    async def message_overdue(self, promise_id: UUID, language: str) -> None:
        """As `callback_overdue`: nobody has heard this message for too long."""
        await self._overdue("message", promise_id, Alarm.MESSAGE_OVERDUE, language)

    async def _overdue(self, what: str, promise_id: UUID, alarm: Alarm, language: str) -> None:
        log.error("%s %s is overdue", what, promise_id)
        about = f"{what}:{promise_id}"
        await _in_time(raise_alarm_once(self._redis, alarm, language, about))


async def _in_time(alarm: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(LIMIT):
            await alarm
    except (RedisError, OSError, TimeoutError) as exc:
        log.error("the alarm reaches nobody: %s", str(exc) or "no answer")


def expected_wait(position: int, handling: float | None, working: int) -> float | None:
    """Seconds until the caller at `position` is served; None when it cannot be foretold.

    `handling` is what a conversation takes in seconds, if known; `working` consultants take calls
    at once.
    """
    if handling is None or working == 0 or position == 0:
        return None
    return position * handling / working


def _read(answer: Sequence[int | str], language: str) -> Standing:
    """See standing.lua for the answer."""
    position, handling, working, *present = answer
    at_work = dict(zip(LANGUAGES, map(int, present), strict=True))
    speakers = at_work.pop(language, 0)
    known = float(handling) if handling else None
    wait = expected_wait(int(position), known, int(working))
    others = frozenset(other for other, count in at_work.items() if count)
    return Standing(int(position), wait, speakers, others)
