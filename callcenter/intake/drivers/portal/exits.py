"""Exits: writers who left the portal quickly, as the page of their appeal shows them."""

from datetime import datetime

from callcenter.appeals.extensions import AppealReading
from callcenter.appeals.record import store as records
from callcenter.intake.drivers.portal import store


async def read_exit(reading: AppealReading) -> datetime | None:
    """The last time that its writer left quickly; None: nobody did."""
    continued = records.select_continued(reading.appeal_id)
    return await store.find_exit(reading.connection, continued)
