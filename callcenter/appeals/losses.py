"""Who was cut off by our fault lately, and who had whose appeal, in memory.

Whoever takes a call waits for no database.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    column,
    exists,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.callers import Caller
from callcenter.appeals.tables import appeal, appeal_event
from callcenter.errors import WeFailed
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

RINGS_BACK = timedelta(minutes=30)  # within which a caller lost by our fault goes before others
REFRESH = 1.0  # seconds after which what others have lost is read
LONGEST_CALL = timedelta(hours=4)

# Rooms do not import each other; of these we need only what is asked here.
_consultant = table("consultant", column("id"), column("extension"))
_record = table("record", column("appeal_id"), column("stage"), column("joined_to"))
_joined = table("record", column("appeal_id"), column("stage")).alias("goes_on_in")
_ended: list[ColumnElement[str]] = [
    literal_column("'closed'"),
    literal_column("'no_request'"),
    literal_column("'joined'"),
]

# No parameter: a plan made for any outcome could not use the index of this one.
_lost = appeal.c.outcome == literal_column("'lost_to_a_fault'")
_LOST = (
    select(appeal.c.caller_number, appeal.c.ended_at)
    .where(_lost, appeal.c.ended_at > bindparam("since"), appeal.c.caller_kind == "number")
    .order_by(appeal.c.ended_at)
)
# Open is what somebody works on, or what goes on within an appeal that is. Of
# what nobody has written down yet, what was urgent or cut off, by our fault or the network's.
_cut_off = exists().where(
    appeal_event.c.appeal_id == appeal.c.id, appeal_event.c.kind == literal_column("'caller_lost'")
)
_open = or_(
    _record.c.stage.not_in(_ended),
    _joined.c.stage.not_in(_ended),
    and_(
        _record.c.appeal_id.is_(None),
        or_(appeal.c.urgent != literal_column("'{}'"), _lost, _cut_off),
    ),
)
_HAD_BY = (
    select(appeal.c.caller_number, _consultant.c.extension, appeal.c.ended_at)
    .join(_consultant, _consultant.c.id == appeal.c.consultant_id)
    .outerjoin(_record, _record.c.appeal_id == appeal.c.id)
    .outerjoin(_joined, _joined.c.appeal_id == _record.c.joined_to)
    .where(
        _open,
        appeal.c.received_at > bindparam("begun"),  # the index is by this
        appeal.c.ended_at > bindparam("since"),
        appeal.c.caller_kind == "number",
    )
    .order_by(appeal.c.ended_at)
)


class Losses:
    """One controller's lists; `run` must be running for it to know of others' calls.

    While the database is away the lists stay as they were.
    """

    def __init__(self, engine: AsyncEngine, return_limit: timedelta = timedelta()) -> None:
        """Within `return_limit` whoever rings back goes to the same consultant, if possible."""
        self._engine = engine
        self._return_limit = return_limit
        self._lost: dict[str, datetime] = {}
        self._had: dict[str, tuple[str, datetime]] = {}

    def include(self, caller: Caller) -> bool:
        """Whether our fault ended a call of this caller, within the last half hour."""
        return caller.number in self._lost and (
            self._lost[caller.number] > datetime.now(UTC) - RINGS_BACK
        )

    def had_by(self, caller: Caller) -> str | None:
        """The extension of who talked last about this caller's open appeal, not too long ago."""
        extension, ended_at = self._had.get(caller.number or "", ("", None))
        recent = ended_at is not None and ended_at > datetime.now(UTC) - self._return_limit
        return extension if recent else None

    def add(self, caller: Caller) -> None:
        """Our fault has ended a call of this caller just now."""
        if caller.kind == "number" and caller.number is not None:
            self._lost[caller.number] = datetime.now(UTC)

    async def run(self) -> None:
        """Read the lists at once and every second, until cancelled."""
        while True:
            try:
                now = datetime.now(UTC)
                since = now - RINGS_BACK
                async with unit_of_work(self._engine) as connection:
                    told = await lost_since(connection, since)
                    self._had = await had_by(connection, now - self._return_limit)
                # Our own may not be written yet.
                self._lost = {n: at for n, at in self._lost.items() if at > since} | told
            except (WeFailed, SQLAlchemyError, OSError) as exc:
                log.error("the lists of lost calls stay as they were: %s", type(exc).__name__)
            await asyncio.sleep(REFRESH)


async def lost_since(connection: AsyncConnection, since: datetime) -> dict[str, datetime]:
    """Numbers of which a call ended after that moment by our fault, and when."""
    rows = await connection.execute(_LOST, {"since": since})
    return {row.caller_number: row.ended_at for row in rows}


async def had_by(connection: AsyncConnection, since: datetime) -> dict[str, tuple[str, datetime]]:
    """Numbers with an open appeal whose call ended after that moment: who talked last, and when.

    The consultant is told by extension.
    """
    rows = await connection.execute(_HAD_BY, {"since": since, "begun": since - LONGEST_CALL})
    return {row.caller_number: (row.extension, row.ended_at) for row in rows}
