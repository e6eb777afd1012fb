"""Blocking and letting through for somebody: each with its entry in the audit log."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse import store
from callcenter.abuse.blocks import Reason, check_hours, check_number
from callcenter.appeals.callers import mask
from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit


async def block(
    engine: AsyncEngine, visit: Visit, *, number: str, hours: int, reason: Reason
) -> None:
    """Block a number, as a person wrote it, for 1 to 720 hours from now; a new block replaces one.

    Raises AskedWrongly for what is no whole number, or a wrong length.
    """
    checked, length = check_number(number), check_hours(hours)
    async with unit_of_work(engine) as connection:
        made = await store.block(
            connection, number=checked, length=length, reason=reason, author=visit.who
        )
        await record(
            connection,
            who=visit.who,
            action=Action.NUMBER_BLOCKED,
            subject=f"block:{made.id}",
            detail={
                "number": mask(made.number),
                "until": made.until.isoformat(timespec="seconds"),
                "reason": made.reason.value,
            },
            from_address=visit.address,
        )


async def lift(engine: AsyncEngine, visit: Visit, block_id: UUID) -> None:
    """Let calls through again before the time. Raises NotFound when no such block is in force."""
    async with unit_of_work(engine) as connection:
        lifted = await store.lift(connection, block_id)
        if lifted is None:
            raise NotFound("no such block is in force: look at the list again")
        await record(
            connection,
            who=visit.who,
            action=Action.BLOCK_LIFTED,
            subject=f"block:{lifted.id}",
            detail={"number": mask(lifted.number)},
            from_address=visit.address,
        )
