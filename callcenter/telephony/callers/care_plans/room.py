"""The room of care plans: what it registers."""

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.extensions import CallerDetails
from callcenter.platform.core.errors import N_
from callcenter.platform.core.personal_data import Erasure, PersonalData
from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.telephony.callers.care_plans.actions import CarePlanAction
from callcenter.telephony.callers.care_plans.permissions import CarePlanPermission
from callcenter.telephony.callers.care_plans.store import in_force
from callcenter.telephony.callers.care_plans.tables import caller_plan


async def _caller_details(connection: AsyncConnection, number: str) -> list[tuple[str, str]]:
    """Read what the plan of a caller says, if there is one."""
    return [
        detail
        for plan in await in_force(connection, number)
        for detail in (
            (N_("Agreed times"), plan.times),
            (N_("Note for the consultant who answers"), plan.note),
        )
    ]


ROOM = Room(
    name="care_plans",
    web="callcenter.telephony.callers.care_plans.web_module",
    jobs=("callcenter.telephony.callers.care_plans.jobs",),
    offers=(
        *CarePlanPermission,
        *CarePlanAction,
        CallerDetails(_caller_details),
        PersonalData(
            caller_plan,
            ("number", "times", "note"),
            Erasure(
                "setting caller_history_days: after the end of the plan",
                "callcenter.telephony.callers.history:erase_ended",
            ),
        ),
        TableRights(caller_plan, controller="s", worker="sd", web="siu"),
    ),
)
