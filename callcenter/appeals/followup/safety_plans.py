"""Safety plans of connected appeals, which an appeal that was joined or split shows."""

from collections.abc import Mapping

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.extensions import AppealReading
from callcenter.appeals.record import store
from callcenter.appeals.record.service import audit_appeal

FIELD = "safety_plan"  #: of the form of the center


async def read_section(reading: AppealReading) -> Mapping[str, str] | None:
    """The safety plans of connected appeals by their numbers; None where there is none.

    The audit log says of each that it was seen. Raises DecryptionFailed.
    """
    connection = reading.connection
    connected = await store.list_connected(connection, reading.keys, reading.appeal_id)
    plans = {
        each.number: plan
        for each in connected
        if isinstance(plan := each.record.content.get(FIELD), str)
    }
    for number in plans:
        await audit_appeal(
            connection, reading.actor, AppealAction.APPEAL_VIEWED, number, by="safety_plan"
        )
    return plans or None
