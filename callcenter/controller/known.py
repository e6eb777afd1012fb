"""What is known of whoever calls, or is called: read ahead, so that no call waits for a server."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.abuse.blocklist import Blocklist
from callcenter.appeals.losses import Losses
from callcenter.dialling.numbers import NumberPolicy, NumberRefused
from callcenter.plans.book import Planbook
from callcenter.settings import Settings


class Known:
    """Of one controller. `run` must be running."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self.blocklist = Blocklist(settings, engine)
        self.plans = Planbook(settings, engine)
        self.losses = Losses(engine, timedelta(minutes=settings.return_limit))
        self.numbers = NumberPolicy(settings.numbers_allowed, settings.numbers_refused)

    async def run(self) -> None:
        """Read it again and again, until cancelled."""
        async with asyncio.TaskGroup() as reading:
            for each in (self.blocklist, self.losses, self.plans):
                reading.create_task(each.run())

    def may_call(self, number: str) -> str | None:
        """The number in E.164, or short, when the line may call it: allowed, and not blocked."""
        try:
            checked = self.numbers.check(number)
        except NumberRefused:
            return None
        return None if self.blocklist.blocks(checked) else checked
