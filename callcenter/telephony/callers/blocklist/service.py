"""Service of the blocklist: block a number and lift a block, with audit entries."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.service import audit_shown_number
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import NotFound
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callers.blocklist import store
from callcenter.telephony.callers.blocklist.actions import BlocklistAction
from callcenter.telephony.callers.blocklist.rules import BlockReason, check_hours
from callcenter.telephony.callers.blocklist.store import Block
from callcenter.telephony.callers.rules import check_number


async def block(
    engine: AsyncEngine, actor: Actor, *, number: str, hours: int, reason: BlockReason
) -> None:
    """Block a number, as written, for 1 to 720 hours from now; replaces an earlier block.

    Raises InvalidRequest for an incomplete number, or a wrong length.
    """
    checked, length = check_number(number), check_hours(hours)
    async with unit_of_work(engine) as connection:
        made = await store.block(
            connection, number=checked, length=length, reason=reason, author=actor.who
        )
        await audit_action(
            connection,
            actor,
            BlocklistAction.NUMBER_BLOCKED,
            f"block:{made.id}",
            {
                "number": mask(made.number),
                "until": made.until.isoformat(timespec="seconds"),
                "reason": made.reason.value,
            },
        )


async def list_blocks(engine: AsyncEngine, past: int = 0) -> tuple[list[Block], list[Block]]:
    """The blocks in force, by their end, and of the newest `past` those that have ended."""
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        in_force = await store.in_force(connection)
        newest = await store.newest(connection, limit=past) if past else []
    return in_force, [block for block in newest if not block.is_in_force(now)]


async def show_number(engine: AsyncEngine, actor: Actor, block_id: UUID, reason: str) -> str:
    """The number of a block, whole; audited with the reason.

    Raises NotFound, Forbidden, InvalidRequest.
    """
    async with unit_of_work(engine) as connection:
        found = await store.find(connection, block_id)
        if found is None:
            raise NotFound("there is no such block: look at the list again")
        await audit_shown_number(connection, actor, f"block:{block_id}", reason)
    return found.number


async def lift(engine: AsyncEngine, actor: Actor, block_id: UUID) -> None:
    """Lift a block before its end. Raises NotFound unless it is in force."""
    async with unit_of_work(engine) as connection:
        lifted = await store.lift(connection, block_id)
        if lifted is None:
            raise NotFound("no such block is in force: look at the list again")
        await audit_action(
            connection,
            actor,
            BlocklistAction.BLOCK_LIFTED,
            f"block:{lifted.id}",
            {"number": mask(lifted.number)},
        )
