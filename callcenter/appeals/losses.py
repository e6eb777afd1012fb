"""Who was cut off by our fault lately, in memory: whoever takes a call waits for no database."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.callers import Caller
from callcenter.appeals.store import lost_since
from callcenter.errors import WeFailed
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

RINGS_BACK = timedelta(minutes=30)  # within which a caller lost by our fault goes before others
REFRESH = 1.0  # seconds after which what others have lost is read


class Losses:
    """One controller's list; `run` must be running for it to know of others' calls.

    While the database is away the list stays as it was.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lost: dict[str, datetime] = {}

    def include(self, caller: Caller) -> bool:
        """Whether our fault ended a call of this caller, within the last half hour."""
        return caller.number in self._lost and (
            self._lost[caller.number] > datetime.now(UTC) - RINGS_BACK
        )

    def add(self, caller: Caller) -> None:
        """Our fault has ended a call of this caller just now."""
        if caller.kind == "number" and caller.number is not None:
            self._lost[caller.number] = datetime.now(UTC)

    async def run(self) -> None:
        """Read the list at once and every second, until cancelled."""
        while True:
            try:
                since = datetime.now(UTC) - RINGS_BACK
                async with unit_of_work(self._engine) as connection:
                    told = await lost_since(connection, since)
                # Our own may not be written yet.
                self._lost = {n: at for n, at in self._lost.items() if at > since} | told
            except (WeFailed, SQLAlchemyError, OSError) as exc:
                log.error("the list of lost calls stays as it was: %s", type(exc).__name__)
            await asyncio.sleep(REFRESH)
