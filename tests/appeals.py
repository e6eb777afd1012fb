"""Appeals of the register, as calls open them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.calls.tables import appeal_counter, outgoing_call
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import unit_of_work


async def opened(
    connection: AsyncConnection,
    at: datetime,
    *,
    number: str | None = None,
    call_id: str | None = None,
    appeal_id: UUID | None = None,
) -> UUID:
    """The appeal of a call that came in then, from this number or from one that was withheld.

    The switch calls the call by the appeal's id, unless it is told.
    """
    appeal_id = appeal_id or uuid4()
    await store.open_appeal(
        connection,
        appeal_id=appeal_id,
        call_id=call_id or str(appeal_id),
        channel="call",
        caller_kind="number" if number else "withheld",
        caller_number=number,
        received_at=at,
    )
    return appeal_id


async def newest_outgoing(connection: AsyncConnection, number: str) -> OutboundCallRow | None:
    """The newest call that was made to a number, or None."""
    query = (
        select(*(outgoing_call.c[name] for name in OutboundCallRow.__slots__))
        .where(outgoing_call.c.number == number)
        .order_by(outgoing_call.c.began_at.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else OutboundCallRow(*row)


async def numbers_given(connection: AsyncConnection, last: int, at: datetime) -> None:
    """Make `last` the newest sequence number that was given in the year of this time."""
    values = {"year": at.astimezone(ZONE).year % 100, "last": last}
    put = upsert(appeal_counter).values(values)
    await connection.execute(put.on_conflict_do_update(index_elements=["year"], set_=values))


async def read_all_rows(engine: AsyncEngine) -> str:
    """All rows of the register, as they stand in the database.

    As tuples: rows of SQLAlchemy say of long values that they were truncated.
    """
    async with unit_of_work(engine) as connection:
        names = await connection.execute(
            text(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
                " AND table_name !~ 'procrastinate|^masking|record_field|status_attempt'"
            )
        )
        tables = [
            [tuple(row) for row in await connection.execute(text(f'TABLE "{name}"'))]
            for name in names.scalars().all()
        ]
    return str(tables)
