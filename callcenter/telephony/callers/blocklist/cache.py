"""In-memory copy of the blocklist: a call is checked without a database query."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.storage.notified_cache import NotifiedCache
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.telephony.callers.blocklist.rules import is_blocked
from callcenter.telephony.callers.blocklist.store import CHANNEL, in_force

NO_BLOCKS: Mapping[str, datetime] = MappingProxyType({})


class Blocklist(NotifiedCache):
    """A controller's copy of the blocklist.

    Until the first reading nobody is blocked. While the database is unavailable blocks end in
    their time.
    """

    subject = "the blocklist"

    def __init__(self, engine: AsyncEngine, listener: NotifyListener) -> None:
        super().__init__(engine, listener, CHANNEL)
        self._blocked = NO_BLOCKS

    def blocks(self, number: str | None) -> bool:
        """True if calls from this number (E.164; None: withheld) are blocked now."""
        return is_blocked(self._blocked, number, datetime.now(UTC))

    async def read(self, connection: AsyncConnection) -> None:
        self._blocked = {block.number: block.until for block in await in_force(connection)}
