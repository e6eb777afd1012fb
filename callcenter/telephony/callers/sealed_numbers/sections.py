"""Section of the page of a call: until when its withheld number is kept."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.store import AppealRow
from callcenter.telephony.callers.sealed_numbers import store


@dataclass(frozen=True, slots=True)
class SealedNumberSection:
    """The end of the term of a withheld number, on the page of its appeal."""

    until: datetime


async def read_section(connection: AsyncConnection, row: AppealRow) -> SealedNumberSection | None:
    """Read until when the withheld number of this call is kept; None if it is not."""
    until = await store.find_until(connection, row.id, datetime.now(UTC))
    return None if until is None else SealedNumberSection(until)
