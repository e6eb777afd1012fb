"""What a supervisor must know at once, in Redis: the newest alarms, and how many there were."""

import json
import time
from collections.abc import Iterable
from enum import StrEnum

from redis.asyncio import Redis

DAY = 86_400  # seconds
KEPT = 100  #: newest alarms; older ones are only counted


class Alarm(StrEnum):
    """Why somebody should look now."""

    NOBODY_SIGNED_IN = "nobody_signed_in"  #: a caller waits and nobody there speaks the language
    URGENT_WAITS = "urgent_waits"  #: who is in danger or cannot speak waits, for too long
    NOT_RECORDED = "not_recorded"  #: a conversation in this language goes on, perhaps unrecorded
    RECORDED_AGAIN = "recorded_again"  #: such a conversation is recorded from now on
    CALLBACK_OVERDUE = "callback_overdue"  #: nobody was called back as promised, for half an hour
    DEMAND_DUE_SOON = "demand_due_soon"  #: the time that a demand of the authority sets runs out
    DEMAND_OVERDUE = "demand_overdue"  #: it has run out
    NONE_ANSWERED = "none_answered"  #: callers wait for this language, and nobody answers any
    DISK_FILLS = "disk_fills"  #: four fifths of a disk with recordings or journals are used
    DISK_ALMOST_FULL = "disk_almost_full"  #: nine tenths are: soon nothing can be recorded
    RECORDINGS_WAIT = "recordings_wait"  #: to be sealed, for minutes; or to be copied, an hour
    RECORDING_ASIDE = "recording_aside"  #: it failed, has another length, or belongs to no call
    NOT_AS_WRITTEN = "not_as_written"  #: a recording or the audit log was altered, or misses a part
    CUT_OFF_WAITS = "cut_off_waits"  #: nobody decides whether a caller who was cut off is called
    MESSAGE_OVERDUE = "message_overdue"  #: nobody has heard a message, for half an hour
    DANGER_WAITS = "danger_waits"  #: an appeal is urgent and nobody has passed it on
    REMINDER_DUE = "reminder_due"  #: somebody is to be reminded of an appeal by now
    ATTACHMENT_ASIDE = "attachment_aside"  #: an attached file has a virus or cannot be checked
    ATTACHMENT_WAITS = "attachment_waits"  #: nobody looks for viruses in attached files
    APPEAL_OVERDUE = "appeal_overdue"  #: a term of an appeal, or of a letter of it, is over
    LEDGER_DIFFERS = "ledger_differs"  #: register and switch disagree, or cannot be compared


async def raise_alarm(redis: Redis, kind: Alarm, language: str = "") -> None:
    """Put an alarm before the others; the language is empty where it is about none.

    `desk:alarms` is a list of JSON objects, the newest first: kind, language, and at, in epoch
    seconds. `desk:alarm_counts` is a hash of all so far, by kind.
    """
    told = {"kind": kind.value, "language": language, "at": round(time.time(), 3)}
    async with redis.pipeline(transaction=True) as together:
        together.lpush("desk:alarms", json.dumps(told))
        together.ltrim("desk:alarms", 0, KEPT - 1)
        together.hincrby("desk:alarm_counts", kind.value, 1)
        await together.execute()


async def raise_alarm_once(
    redis: Redis, kind: Alarm, language: str, about: str, within: int = DAY
) -> None:
    """As `raise_alarm`, unless that was done for the same cause by whomever, `within` seconds."""
    if await redis.set(f"desk:alarmed:{about}", kind.value, nx=True, ex=within):
        await raise_alarm(redis, kind, language)


async def alarm_of_new(
    redis: Redis, kind: Alarm, subjects: Iterable[str], within: int
) -> list[str]:
    """One alarm for all of these of which there was none `within` seconds; returns them.

    Killed in between it is raised twice.
    """
    keys = {each: f"desk:alarmed:{kind}:{each}" for each in subjects}
    new = [each for each, key in keys.items() if not await redis.exists(key)]
    if new:
        await raise_alarm(redis, kind)
        for each in new:
            await redis.set(keys[each], "1", ex=within)
    return new
