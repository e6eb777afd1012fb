"""Queue position and estimated wait of a call, and alerts about waiting calls."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.monitoring.alerts import AlertKind, raise_alert, raise_alert_once
from callcenter.telephony.acd.alerts import (
    CALL_NOT_RESTORED,
    CALLBACK_OVERDUE,
    MESSAGE_OVERDUE,
    NOBODY_SIGNED_IN,
    NOT_RECORDED,
    NUMBER_NOT_SEALED,
    RECORDED_AGAIN,
    SHUT_OUT_TALKS,
    URGENT_MESSAGE,
    URGENT_WAITS,
)
from callcenter.telephony.acd.rules.call_alerts import CallAlert

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
URGENT_ALERT_INTERVAL = 300  # seconds between two alerts about one urgent caller
REDIS_TIMEOUT = 0.25  # seconds for Redis: the caller may hear nothing meanwhile


@dataclass(frozen=True, slots=True)
class RedisQueuePosition:
    """Position of a call among those for one language, at one moment."""

    position: int  #: 1 is next; 0: not in the queue, as while ringing
    expected_wait: float | None  #: seconds; None when it cannot be estimated
    speakers: int  #: signed-in consultants of the language, also on a pause
    other_languages: frozenset[str]  #: of signed-in consultants


class RedisQueueMonitor:
    """Reads positions in the queue and alerts supervisors; changes nothing in it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(SCRIPT)

    async def position_of(self, call_id: str, language: str) -> RedisQueuePosition:
        """Return the position of a call among those for `language`.

        Raises DistributorUnavailable after a quarter of a second.
        """
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                answer = await self._script(args=[call_id, language, *CALLER_LANGUAGES])
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(
                f"cannot look at the queue: {str(exc) or 'no answer'}"
            ) from exc
        return _read(answer, language)

    async def alert_nobody_signed_in(self, call_id: str, language: str) -> None:
        """Alert supervisors: no signed-in consultant speaks `language`, and this call waits.

        Logged in any case; never raises.
        """
        log.error("no consultant signed in: call %s waits for language %s", call_id, language)
        await _send_alert(raise_alert(self._redis, NOBODY_SIGNED_IN, language))

    async def alert_urgent_waiting(self, call_id: str, language: str) -> bool | None:
        """Alert supervisors, every five minutes per call: an urgent caller waits too long.

        False when they were alerted less than five minutes ago, None when Redis did not answer.
        Logged in any case; never raises.
        """
        log.error("urgent caller waits: call %s, language %s", call_id, language)
        alert = raise_alert_once(
            self._redis,
            URGENT_WAITS,
            language,
            CallAlert.URGENT_WAITS.id_of(call_id),
            within=URGENT_ALERT_INTERVAL,
        )
        return await _send_alert(alert)

    async def alert_not_recorded(self, call_id: str, language: str) -> None:
        """Alert supervisors: the recording of this conversation is unconfirmed.

        Logged in any case; never raises.
        """
        log.error("recording unconfirmed: call %s", call_id)
        about = CallAlert.NOT_RECORDED.id_of(call_id)
        await _send_alert(raise_alert(self._redis, NOT_RECORDED, language, about))

    async def alert_recording_restored(self, call_id: str, language: str) -> None:
        """Tell supervisors that this conversation is recorded from now on.

        Logged in any case; never raises.
        """
        log.warning("recording restored: call %s", call_id)
        await _send_alert(raise_alert(self._redis, RECORDED_AGAIN, language))

    async def alert_number_not_sealed(self, call_id: str, why: str) -> None:
        """Alert supervisors: the withheld number of this call is not kept for a trace.

        Logged in any case; never raises.
        """
        log.error("withheld number not sealed: call %s: %s", call_id, why)
        about = "number_not_sealed"  # one cause is that of every call
        await _send_alert(raise_alert(self._redis, NUMBER_NOT_SEALED, about=about))

    async def alert_call_not_restored(self, call_id: str) -> None:
        """Alert supervisors: no controller can go on with this call, the fallback serves it.

        Logged in any case; never raises.
        """
        log.critical("call not restored: %s: left to the fallback", call_id)
        about = "call_not_restored"  # one cause is that of every call
        await _send_alert(raise_alert(self._redis, CALL_NOT_RESTORED, about=about))

    async def alert_shut_out_talking(self, call_id: str, extension: str) -> None:
        """Alert supervisors, once per call: whoever was shut out is in it yet.

        Logged in any case; never raises.
        """
        log.warning("shut out in a conversation: call %s, consultant %s", call_id, extension)
        alert = raise_alert_once(self._redis, SHUT_OUT_TALKS, "", f"shut_out_talks:{call_id}")
        await _send_alert(alert)

    async def alert_callback_overdue(self, callback_id: UUID, language: str) -> bool:
        """Alert supervisors, once a day per request: a callback is overdue.

        Logged when they are; never raises. It may be called again and again: until it returns
        True they may not be alerted.
        """
        return await self._alert_overdue("callback", callback_id, CALLBACK_OVERDUE, language)

    async def alert_voicemail_overdue(self, callback_id: UUID, language: str) -> bool:
        """Alert supervisors, once a day per voicemail: nobody has heard it for too long.

        As `alert_callback_overdue`.
        """
        return await self._alert_overdue("message", callback_id, MESSAGE_OVERDUE, language)

    async def alert_urgent_voicemail(self, callback_id: UUID, language: str) -> bool:
        """Alert supervisors, once a day per voicemail: somebody in need left it.

        As `alert_callback_overdue`.
        """
        alert = raise_alert_once(self._redis, URGENT_MESSAGE, language, f"message:{callback_id}")
        is_new = await _send_alert(alert)
        if is_new:
            log.warning("urgent voicemail: message %s", callback_id)
        return is_new is not None

    async def _alert_overdue(
        self, what: str, callback_id: UUID, alert: AlertKind, language: str
    ) -> bool:
        about = f"{what}:{callback_id}"
        is_new = await _send_alert(raise_alert_once(self._redis, alert, language, about))
        if is_new:
            log.error("callback overdue: %s %s", what, callback_id)
        return is_new is not None


async def _send_alert(alert: Awaitable[bool | None]) -> bool | None:
    """Whether `raise_alert_once` added it; None when Redis did not answer. Never raises."""
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            return await alert
    except (RedisError, OSError, TimeoutError) as exc:
        log.error("alert not delivered: %s", str(exc) or "no answer")
        return None


def expected_wait(position: int, handling_seconds: float | None, working: int) -> float | None:
    """Return the estimated wait in seconds, None when it cannot be estimated.

    `handling_seconds` is the average conversation, if any; `working` is the number of consultants.
    """
    if handling_seconds is None or working == 0 or position == 0:
        return None
    return position * handling_seconds / working


def _read(answer: Sequence[int | str], language: str) -> RedisQueuePosition:
    """Parse the answer of queue_position.lua."""
    position, handling_seconds, working, *present = answer
    at_work = dict(zip(CALLER_LANGUAGES, map(int, present), strict=True))
    speakers = at_work.pop(language, 0)
    handling_time = float(handling_seconds) if handling_seconds else None
    wait = expected_wait(int(position), handling_time, int(working))
    others = frozenset(other for other, count in at_work.items() if count)
    return RedisQueuePosition(int(position), wait, speakers, others)
