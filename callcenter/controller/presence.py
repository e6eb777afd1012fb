"""Who is there, told to the desk: the roster from PostgreSQL, telephones from the switch."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import history
from callcenter.consultants import store as consultants
from callcenter.consultants.desk import Desk
from callcenter.consultants.script import DeskClosed
from callcenter.errands import Errands
from callcenter.errors import WeFailed
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

COMPANY = 0.02  # seconds that a telephone's state waits for others, to be told with them
RETELL = 60.0  # seconds after which the desk is told again, should a word have been lost
#: Seconds. What a telephone did so long ago is no news: we stood still, or the network did. (The
#: desk takes an old word for a new one by a clock that was set back.) The switch is asked instead.
LATE = 5.0
TECHNOLOGY = "PJSIP/"


class Presence:
    """One controller's part in it; what cannot be told is logged, and told again later."""

    def __init__(
        self,
        desk: Desk,
        engine: AsyncEngine,
        device_states: Callable[[], Awaitable[Mapping[str, str]]],
    ) -> None:
        """`device_states`: what the switch says of every device now, by its name."""
        self._desk = desk
        self._engine = engine
        self._device_states = device_states
        self._news: dict[str, tuple[str, float]] = {}
        self._asks = False
        self._errands = Errands()

    def device_changed(self, event: Mapping[str, str]) -> None:
        """Take AMI's event DeviceStateChange: repeated, late or out of order it does no harm."""
        name = event["Device"].removeprefix(TECHNOLOGY)
        if name == event["Device"] or not name.isdigit():  # trunks have names
            return
        if "ActionID" in event:  # an item of a list that was answered comes again: it is no news
            return
        stamp = float(event["Timestamp"])
        if time.time() - stamp > LATE:
            self._ask_soon()
            return
        if not self._news:
            self._errands.begin(self._tell_news())
        if name not in self._news or self._news[name][1] <= stamp:
            self._news[name] = (event["State"], stamp)

    def reloaded(self, _: Mapping[str, str]) -> None:
        """Take AMI's event Reload: there may be other telephones."""
        self._ask_soon()

    def _ask_soon(self) -> None:
        """Tell everything as it is by then; many reasons to do so are one."""
        if not self._asks:
            self._asks = True
            self._errands.begin(self._ask())

    async def _ask(self) -> None:
        await asyncio.sleep(COMPANY)
        self._asks = False
        await self.tell()

    async def run(self) -> None:
        """Tell it all again every minute, until cancelled."""
        while True:
            await asyncio.sleep(RETELL)
            await self.tell()

    async def tell(self) -> None:
        """Tell the desk everything."""
        stamp = time.time()
        try:
            async with unit_of_work(self._engine) as connection:
                known = await history.last_changes(connection)
                await self._desk.tell_roster(await consultants.active(connection), known)
            states = await self._device_states()
            telephones = {
                device.removeprefix(TECHNOLOGY): state
                for device, state in states.items()
                if device.startswith(TECHNOLOGY)
            }
            await self._desk.tell_devices(telephones, stamp)
        except (WeFailed, SQLAlchemyError, OSError) as exc:
            log.error("the desk does not know who is there: %s", exc)

    async def _tell_news(self) -> None:
        await asyncio.sleep(COMPANY)
        news, self._news = self._news, {}
        try:
            await self._desk.tell_changes(news)
        except DeskClosed as exc:
            log.error("%s", exc)
