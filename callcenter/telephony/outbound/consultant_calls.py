"""The call that a consultant has now, found by its place at the distributor."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import statistics
from callcenter.appeals.calls.statistics import LiveCall
from callcenter.telephony.acd.command_bus import first_id
from callcenter.telephony.acd.rules.priority import CALLBACK
from callcenter.telephony.callbacks import queries as callbacks

OUTBOUND = "outgoing-"  #: begins the place of a call that a consultant makes


async def find_consultant_call(
    connection: AsyncConnection, extension: str, place: str
) -> LiveCall | None:
    """Find the call of this consultant at a place; None while it is not written yet."""
    if place.startswith(CALLBACK):
        return await callbacks.find_call(connection, UUID(place.removeprefix(CALLBACK)))
    if place.startswith(OUTBOUND):
        return await statistics.find_outbound_call(connection, extension)
    return await statistics.find_inbound_call(connection, first_id(place))
