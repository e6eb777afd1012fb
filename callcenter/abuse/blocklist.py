"""The numbers blocked now, in memory: whoever takes a call waits for no database."""

import logging
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse.blocks import is_blocked
from callcenter.abuse.store import CHANNEL, in_force
from callcenter.errors import WeFailed
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.notices import notices

log = logging.getLogger(__name__)

REFRESH = 5.0  # seconds after which the list is read anew, should a notice have been lost
NOBODY: Mapping[str, datetime] = MappingProxyType({})


class Blocklist:
    """One controller's list; `run` must be running for it to be right.

    Until it was read once nobody is blocked. While the database is away the list stays as it was,
    and blocks end in their time.
    """

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._blocked = NOBODY

    def blocks(self, number: str | None) -> bool:
        """Whether calls from this number (E.164; None: withheld) are not taken now."""
        return is_blocked(self._blocked, number, datetime.now(UTC))

    async def run(self) -> None:
        """Read the list at once, after each change, and every 5 seconds, until cancelled."""
        async with aclosing(notices(self._settings, CHANNEL, REFRESH)) as told:
            async for _ in told:
                await self._read()

    async def _read(self) -> None:
        try:
            async with unit_of_work(self._engine) as connection:
                blocks = await in_force(connection)
        except (WeFailed, SQLAlchemyError, OSError) as exc:
            log.error("the list of blocked numbers stays as it was: %s", type(exc).__name__)
        else:
            self._blocked = {block.number: block.until for block in blocks}
