"""Appeals of the register, as calls open them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store


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
