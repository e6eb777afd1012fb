"""Holding a recording by hand, as a court or an inquiry orders: while it is, nobody erases it.

Demands hold theirs by themselves; whatever holds a recording ends by itself, see `holding`.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.errors import AskedWrongly
from callcenter.recordings import holding, store
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit

BY_ORDER = "order:"
LONGEST = 200


async def keep(engine: AsyncEngine, visit: Visit, recording_id: UUID, order: str) -> None:
    """Hold a stored recording for an order: its number and date, and whose it is. Repeatable.

    Raises NotFound, AskedWrongly without an order.
    """
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, recording_id)
        if row is None or row.state != "stored":
            raise NotFound("there is no stored recording with this id")
        await holding.hold(connection, [recording_id], BY_ORDER + _order(order))
        await record(
            connection,
            who=visit.who,
            action=Action.RECORDING_HELD,
            subject=f"recording:{recording_id}",
            detail={"order": _order(order)},
            from_address=visit.address,
        )


async def let_go(
    engine: AsyncEngine, visit: Visit, recording_id: UUID, order: str, reason: str
) -> None:
    """End it, with a reason; the recording may be erased then, by two people.

    Raises NotFound when it is not held for this order, AskedWrongly without a reason.
    """
    why = _order(reason)
    async with unit_of_work(engine) as connection:
        if not await holding.let_go_one(connection, recording_id, BY_ORDER + _order(order)):
            raise NotFound("the recording is not held for this order")
        await record(
            connection,
            who=visit.who,
            action=Action.RECORDING_LET_GO,
            subject=f"recording:{recording_id}",
            detail={"order": _order(order), "reason": why},
            from_address=visit.address,
        )


def _order(written: str) -> str:
    order = " ".join(written.split())
    if not order or len(order) > LONGEST or not order.isprintable():
        raise AskedWrongly(f"say which order, or why, in up to {LONGEST} characters")
    return order
