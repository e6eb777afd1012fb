"""Term of blocks and care plans: they are erased some time after their end."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources

DeleteEnded = Callable[[AsyncConnection, datetime], Awaitable[None]]  # what ended before a time


async def erase_ended(tools: WorkerResources, delete_ended: DeleteEnded, now: datetime) -> None:
    """Erase what ended `caller_history_days` ago. Raises SQLAlchemyError."""
    async with unit_of_work(tools.engine) as connection:
        await delete_ended(connection, now - timedelta(days=tools.settings.caller_history_days))
