"""Sending a consultant to a pause, or home: with its entry in the audit log."""

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.history import check_reason
from callcenter.consultants.states import ASKED, State
from callcenter.storage.engine import unit_of_work
from callcenter.web.site import Site, Visit


async def send(site: Site, visit: Visit, extension: str, wanted: State, reason: str) -> None:
    """Have somebody paused, for a reason that the center keeps, or signed out.

    Raises AskedWrongly for another reason, and what `DutyDesk.ask` raises.
    """
    async with unit_of_work(site.engine) as connection:
        is_pause = wanted is State.PAUSED
        why = await check_reason(connection, reason) if is_pause else ASKED
        desk = DutyDesk(site.redis, site.settings)
        await desk.ask(extension, wanted, by=visit.who, reason=why)
        await record(
            connection,
            who=visit.who,
            action=Action.DUTY_CHANGED,
            subject=f"consultant:{extension}",
            detail={"state": wanted.value, "reason": why},
            from_address=visit.address,
        )
