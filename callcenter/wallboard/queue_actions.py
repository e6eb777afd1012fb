"""A supervisor's actions on the queue, each with its audit entry."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.queue_control import QueueControl
from callcenter.wallboard.actions import WallboardAction


async def pause_queue(
    engine: AsyncEngine,
    queues: QueueControl,
    actor: Actor,
    queue: str,
    minutes: float,
    reason: str,
) -> None:
    """Pause a queue for so many minutes. Raises InvalidRequest, DistributorUnavailable."""
    await queues.pause_queue(queue, minutes * 60, by=actor.who, reason=reason)
    detail = {"minutes": f"{minutes:g}", "reason": reason}
    async with unit_of_work(engine) as connection:
        await audit_action(
            connection, actor, WallboardAction.QUEUE_HELD_BACK, f"queue:{queue}", detail
        )


async def resume_queue(engine: AsyncEngine, queues: QueueControl, actor: Actor, queue: str) -> None:
    """Resume a queue. Raises InvalidRequest, DistributorUnavailable."""
    await queues.resume_queue(queue)
    async with unit_of_work(engine) as connection:
        await audit_action(connection, actor, WallboardAction.QUEUE_LET_ON, f"queue:{queue}")


async def assign_call(
    engine: AsyncEngine, queues: QueueControl, actor: Actor, call_id: str, extension: str
) -> None:
    """Assign a waiting call to a consultant. Raises what `QueueControl.assign_call` raises."""
    await queues.assign_call(call_id, extension, by=actor.who)
    async with unit_of_work(engine) as connection:
        await audit_action(
            connection,
            actor,
            WallboardAction.CALL_HANDED_OUT,
            f"call:{call_id}",
            {"consultant": extension},
        )
