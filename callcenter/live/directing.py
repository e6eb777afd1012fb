"""Directing the queue, for somebody: each deed with its entry in the audit log."""

from callcenter.audit.actions import Action
from callcenter.audit.chain import Detail
from callcenter.audit.store import record
from callcenter.consultants.directing import Directing
from callcenter.storage.engine import unit_of_work
from callcenter.web.site import Site, Visit


async def hold_back(site: Site, visit: Visit, queue: str, minutes: float, reason: str) -> None:
    """Make no offers from a queue for so many minutes. Raises AskedWrongly, DeskClosed."""
    desk = Directing(site.redis, site.settings)
    await desk.hold_back(queue, minutes * 60, by=visit.who, reason=reason)
    detail = {"minutes": f"{minutes:g}", "reason": reason}
    await _note(site, visit, Action.QUEUE_HELD_BACK, f"queue:{queue}", detail)


async def let_on(site: Site, visit: Visit, queue: str) -> None:
    """Make offers from a queue again. Raises AskedWrongly, DeskClosed."""
    await Directing(site.redis, site.settings).let_on(queue)
    await _note(site, visit, Action.QUEUE_LET_ON, f"queue:{queue}", {})


async def hand_out(site: Site, visit: Visit, call_id: str, extension: str) -> None:
    """Give a call that waits to a consultant now. Raises what `Directing.hand_out` raises."""
    await Directing(site.redis, site.settings).hand_out(call_id, extension, by=visit.who)
    detail = {"consultant": extension}
    await _note(site, visit, Action.CALL_HANDED_OUT, f"call:{call_id}", detail)


async def _note(site: Site, visit: Visit, action: Action, subject: str, detail: Detail) -> None:
    async with unit_of_work(site.engine) as connection:
        await record(
            connection,
            who=visit.who,
            action=action,
            subject=subject,
            detail=detail,
            from_address=visit.address,
        )
