"""Blocklist, care plans and recent drops, read ahead: no call waits for the database."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.recent_drops import RecentDrops
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.telephony.callers.blocklist.cache import Blocklist
from callcenter.telephony.callers.care_plans.cache import CarePlanCache
from callcenter.telephony.outbound.rules import NumberPolicy, NumberRefused


class CallerCache:
    """Facts about callers for one controller. `run` must be running."""

    def __init__(self, settings: Settings, engine: AsyncEngine, listener: NotifyListener) -> None:
        self.blocklist = Blocklist(engine, listener)
        self.care_plans = CarePlanCache(engine, listener)
        self.recent_drops = RecentDrops(engine, listener, timedelta(minutes=settings.return_limit))
        self._copies = (self.blocklist, self.recent_drops, self.care_plans)
        self.number_policy = NumberPolicy(
            settings.numbers_allowed, settings.numbers_refused, settings.called_numbers
        )

    async def run(self) -> None:
        """Read all again and again, until cancelled."""
        async with asyncio.TaskGroup() as reading:
            for each in self._copies:
                reading.create_task(each.run())

    async def wait_for_first_read(self) -> None:
        """Wait until all were read, or could not be."""
        for each in self._copies:
            await each.first_read.wait()

    def may_call(self, number: str) -> str | None:
        """The number in E.164, or short, when the line may call it: allowed, and not blocked."""
        try:
            checked = self.number_policy.check(number)
        except NumberRefused:
            return None
        return None if self.blocklist.blocks(checked) else checked
