"""A supervisor ends a promise, with its entry in the audit log."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.promises import store
from callcenter.promises.states import State
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit


async def close(engine: AsyncEngine, visit: Visit, promise_id: UUID) -> None:
    """Have nobody called back, or the message heard by nobody more; a call under way goes on.

    Raises NotFound when no such promise is open.
    """
    async with unit_of_work(engine) as connection:
        now = datetime.now(UTC)
        if not await store.end(connection, promise_id, State.CLOSED, now, by=visit.who):
            raise NotFound("no such promise is open: look at the list again")
        await record(
            connection,
            who=visit.who,
            action=Action.PROMISE_CLOSED,
            subject=f"promise:{promise_id}",
            detail={},
            from_address=visit.address,
        )
