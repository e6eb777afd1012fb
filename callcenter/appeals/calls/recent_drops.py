"""Recently dropped callers, and the last consultants of open appeals, in memory.

An incoming call never waits for the database.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.tables import appeal, appeal_event
from callcenter.appeals.tables import record
from callcenter.consultants.tables import consultant
from callcenter.platform.core.caller_id import CallerId
from callcenter.platform.storage.notified_cache import NotifiedCache
from callcenter.platform.storage.notify_listener import NotifyListener

PRIORITY_LIMIT = timedelta(minutes=30)  # within which a dropped caller goes before others
CHANNEL = "open_appeals"  #: of PostgreSQL's NOTIFY, by triggers: one was closed, or is open again
CALL_LENGTH_LIMIT = timedelta(hours=4)

_joined = record.alias("goes_on_in")
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
# An appeal is open while its record is, or that of the appeal it was joined to. Without a record it
# is open if it was urgent, or dropped by our fault or the network's.
_cut_off = exists().where(
    appeal_event.c.appeal_id == appeal.c.id, appeal_event.c.kind == literal_column("'caller_lost'")
)
_open = or_(
    record.c.stage.not_in(_ended),
    _joined.c.stage.not_in(_ended),
    and_(
        record.c.appeal_id.is_(None),
        or_(appeal.c.urgent != literal_column("'{}'"), _lost, _cut_off),
    ),
)
_CONSULTANTS = (
    select(appeal.c.caller_number, consultant.c.extension, appeal.c.ended_at)
    .join(consultant, consultant.c.id == appeal.c.consultant_id)
    .outerjoin(record, record.c.appeal_id == appeal.c.id)
    .outerjoin(_joined, _joined.c.appeal_id == record.c.joined_to)
    .where(
        _open,
        appeal.c.received_at > bindparam("begun"),  # served by the index
        appeal.c.ended_at > bindparam("since"),
        appeal.c.caller_kind == "number",
    )
    .order_by(appeal.c.ended_at)
)


class RecentDrops(NotifiedCache):
    """Lists of one controller; other controllers' calls are included while `run` runs."""

    subject = "dropped calls"
    rest_interval = 1.0

    def __init__(
        self,
        engine: AsyncEngine,
        listener: NotifyListener,
        return_limit: timedelta = timedelta(),
    ) -> None:
        """`return_limit`: within it a caller goes to the same consultant again, if possible."""
        super().__init__(engine, listener, CHANNEL)
        self._return_limit = return_limit
        self._lost: dict[str, datetime] = {}
        self._had: dict[str, tuple[str, datetime]] = {}

    def contains(self, caller: CallerId) -> bool:
        """Whether a fault of ours dropped a call of this caller within the last half hour."""
        return caller.number in self._lost and (
            self._lost[caller.number] > datetime.now(UTC) - PRIORITY_LIMIT
        )

    def preferred_consultant(self, caller: CallerId) -> str | None:
        """Return the extension of the last consultant of this caller's open appeal, if recent."""
        extension, ended_at = self._had.get(caller.number or "", ("", None))
        recent = ended_at is not None and ended_at > datetime.now(UTC) - self._return_limit
        return extension if recent else None

    def add(self, caller: CallerId) -> None:
        """Note that a fault of ours has just dropped a call of this caller."""
        if caller.kind == "number" and caller.number is not None:
            self._lost[caller.number] = datetime.now(UTC)

    async def read(self, connection: AsyncConnection) -> None:
        now = datetime.now(UTC)
        since = now - PRIORITY_LIMIT
        drops = await find_drops(connection, since)
        self._had = await find_consultants(connection, now - self._return_limit)
        # Our own may not be written yet.
        self._lost = {n: at for n, at in self._lost.items() if at > since} | drops


async def find_drops(connection: AsyncConnection, since: datetime) -> dict[str, datetime]:
    """Return numbers whose call a fault of ours dropped after that moment, and when."""
    rows = await connection.execute(_LOST, {"since": since})
    return {row.caller_number: row.ended_at for row in rows}


async def find_consultants(
    connection: AsyncConnection, since: datetime
) -> dict[str, tuple[str, datetime]]:
    """Return numbers with an open appeal whose call ended after that moment.

    Each with the extension of the consultant who talked last, and when the call ended.
    """
    rows = await connection.execute(
        _CONSULTANTS, {"since": since, "begun": since - CALL_LENGTH_LIMIT}
    )
    return {row.caller_number: (row.extension, row.ended_at) for row in rows}
