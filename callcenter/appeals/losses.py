"""Who was cut off by our fault lately, and who had whose appeal, in memory.

Whoever takes a call waits for no database.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.callers import Caller
from callcenter.appeals.store import had_by, lost_since
from callcenter.errors import WeFailed
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

RINGS_BACK = timedelta(minutes=30)  # within which a caller lost by our fault goes before others
REFRESH = 1.0  # seconds after which what others have lost is read


class Losses:
    """One controller's lists; `run` must be running for it to know of others' calls.

    While the database is away the lists stay as they were.
    """

    def __init__(self, engine: AsyncEngine, return_limit: timedelta = timedelta()) -> None:
        """Within `return_limit` whoever rings back goes to the same consultant, if possible."""
        self._engine = engine
        self._return_limit = return_limit
        self._lost: dict[str, datetime] = {}
        self._had: dict[str, tuple[str, datetime]] = {}

    def include(self, caller: Caller) -> bool:
        """Whether our fault ended a call of this caller, within the last half hour."""
        return caller.number in self._lost and (
            self._lost[caller.number] > datetime.now(UTC) - RINGS_BACK
        )

    def had_by(self, caller: Caller) -> str | None:
        """The extension of who talked last about this caller's open appeal, not too long ago."""
        extension, ended_at = self._had.get(caller.number or "", ("", None))
        recent = ended_at is not None and ended_at > datetime.now(UTC) - self._return_limit
        return extension if recent else None

    def add(self, caller: Caller) -> None:
        """Our fault has ended a call of this caller just now."""
        if caller.kind == "number" and caller.number is not None:
            self._lost[caller.number] = datetime.now(UTC)

    async def run(self) -> None:
        """Read the lists at once and every second, until cancelled."""
        while True:
            try:
                now = datetime.now(UTC)
                since = now - RINGS_BACK
                async with unit_of_work(self._engine) as connection:
                    told = await lost_since(connection, since)
                    self._had = await had_by(connection, now - self._return_limit)
                # Our own may not be written yet.
                self._lost = {n: at for n, at in self._lost.items() if at > since} | told
            except (WeFailed, SQLAlchemyError, OSError) as exc:
                log.error("the lists of lost calls stay as they were: %s", type(exc).__name__)
            await asyncio.sleep(REFRESH)
