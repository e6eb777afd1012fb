"""Why consultants ended conversations with callers: given by them, and looked at by supervisors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.store import alone_with, append_event, find
from callcenter.errors import AskedWrongly

A_MOMENT = timedelta(seconds=1)
KIND = "hang_up_reason"  #: the moment that keeps it, see line.outcomes


class Reason(StrEnum):
    """Why a consultant hung up. Names are kept on appeals: never rename one."""

    OVER = "over"  #: all was said
    SILENCE = "silence"  #: nobody was heard
    INSULTS = "insults"
    PRANK = "prank"
    WRONG_NUMBER = "wrong_number"
    MACHINE = "machine"  #: a dialling machine, advertising
    FAULT = "fault"  #: the sound or the telephone failed


class NoHangUp(AskedWrongly):
    """You did not end the conversation of this appeal, or its reason is given already."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """A conversation that a consultant ended, no reason being given yet."""

    appeal: str
    extension: str
    at: datetime


_UNEXPLAINED = text(
    """
    SELECT appeal.number, consultant.extension, ended.at
    FROM appeal
    JOIN consultant ON consultant.id = appeal.consultant_id
    JOIN appeal_event ended ON ended.appeal_id = appeal.id AND ended.kind = 'ended'
        AND ended.detail ->> 'hung_up' = 'consultant'
    WHERE appeal.received_at > :since AND (appeal.number = :number OR :number = '')
    AND appeal.outcome = 'talked' AND NOT EXISTS (
        SELECT FROM appeal_event given
        WHERE given.appeal_id = appeal.id AND given.kind = 'hang_up_reason'
    )
    ORDER BY ended.at
    """
)


async def unexplained(
    connection: AsyncConnection, since: datetime, number: str = ""
) -> Sequence[HangUp]:
    """The calls received since then that wait for a reason, the oldest end first.

    Of one appeal, by its `number`, or of all.
    """
    rows = await connection.execute(_UNEXPLAINED, {"since": since, "number": number})
    return [HangUp(*row) for row in rows]


async def explain(connection: AsyncConnection, number: str, extension: str, reason: Reason) -> None:
    """Keep why this consultant ended the conversation of an appeal. Raises NoHangUp."""
    row = await find(connection, number)
    if row is None:
        raise NoHangUp
    await alone_with(connection, row.id)
    waiting = await unexplained(connection, row.received_at - A_MOMENT, number)
    if extension not in [each.extension for each in waiting]:
        raise NoHangUp
    detail = {"consultant": extension, "hang_up": reason.value}
    await append_event(connection, appeal_id=row.id, at=datetime.now(UTC), kind=KIND, detail=detail)
