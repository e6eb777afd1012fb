"""In-memory copy of care plans: routing of a call needs no database query."""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.storage.notified_cache import NotifiedCache
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.telephony.callers.care_plans.store import CHANNEL, in_force


class CarePlanCache(NotifiedCache):
    """A controller's copy of the plans."""

    subject = "care plans"

    def __init__(self, engine: AsyncEngine, listener: NotifyListener) -> None:
        super().__init__(engine, listener, CHANNEL)
        self._named: dict[str, str] = {}

    def find_consultant(self, number: str | None) -> str | None:
        """The extension of the consultant named by the plan of this number (E.164)."""
        return self._named.get(number or "")

    async def read(self, connection: AsyncConnection) -> None:
        self._named = {plan.number: plan.extension for plan in await in_force(connection)}
