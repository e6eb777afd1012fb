"""Who goes to which consultant first, in memory: whoever takes a call waits for no database."""

import logging
from contextlib import aclosing

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.errors import WeFailed
from callcenter.plans.store import CHANNEL, in_force
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.notices import notices

log = logging.getLogger(__name__)

REFRESH = 5.0  # seconds after which the plans are read anew, should a notice have been lost


class Planbook:
    """One controller's plans; `run` must be running. They stay while the database is away."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._named: dict[str, str] = {}

    def named(self, number: str | None) -> str | None:
        """The extension of the consultant whom the plan of this number names."""
        return self._named.get(number or "")

    async def run(self) -> None:
        """Read the plans at once, after each change, and every 5 seconds, until cancelled."""
        async with aclosing(notices(self._settings, CHANNEL, REFRESH)) as told:
            async for _ in told:
                try:
                    async with unit_of_work(self._engine) as connection:
                        plans = await in_force(connection)
                except (WeFailed, SQLAlchemyError, OSError) as exc:
                    log.error("the plans of callers stay as they were: %s", type(exc).__name__)
                else:
                    self._named = {plan.number: plan.extension for plan in plans}
