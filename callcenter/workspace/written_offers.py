"""Offers of written contacts to one consultant between calls, while the page is open."""

import asyncio
import logging
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.intake import queue
from callcenter.intake.rules.queue import may_be_offered
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.workspace.own_call import UNAVAILABLE
from callcenter.workspace.view import RUNG, WorkspaceView

OFFER_INTERVAL = 1.0  # seconds between two looks for a contact that this consultant can read
LONGEST_INTERVAL = 8.0  # seconds, while the same queue has none for this consultant
QUEUE_TIMEOUT = 5.0  # seconds for the database to answer; else it is tried again
FREE = "free"  #: the group of a consultant to whom a call is offered as soon as there is one
IN_CALL = (RUNG, "talking")  #: groups of consultants who have a call

log = logging.getLogger(__name__)


class WrittenOffers:
    """Offers to one consultant; a page that is closed is offered nothing."""

    def __init__(
        self, engine: AsyncEngine, settings: Settings, actor: Actor, extension: str
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._actor = actor
        self._extension = extension
        self._tasks = BackgroundTasks()
        self._looked_at = float("-inf")
        self._interval = OFFER_INTERVAL
        self._seen: object = None  # what was in the queue at the last look

    def follow(self, view: WorkspaceView) -> None:
        """Offer the next contact between calls; have what is unread wait for others in a call.

        Beside what shows the call, which waits for no database.
        """
        group = view.own.group if view.own else None
        is_unread = any(not each.is_in_hand for each in view.written)
        capacity = self._settings.written_capacity
        is_next = view.written_waiting > 0 and may_be_offered(
            is_free=group == FREE, held=view.written, capacity=capacity
        )
        seen = (group, view.written_waiting, view.written_urgent, view.written)
        if seen != self._seen:
            self._seen, self._interval = seen, OFFER_INTERVAL
        is_due = time.monotonic() - self._looked_at >= self._interval and not self._tasks
        if is_due and (is_next or (is_unread and group in IN_CALL)):
            self._looked_at = time.monotonic()
            self._tasks.spawn(self._offer_next() if is_next else self._withdraw())

    async def aclose(self) -> None:
        """End what is under way."""
        await self._tasks.end_all()

    async def _offer_next(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                found = await queue.offer_next(
                    self._engine, self._settings, self._actor, self._extension
                )
            if found is None:  # another language or skill, let go, or others are first
                self._interval = min(2 * self._interval, LONGEST_INTERVAL)
        except UNAVAILABLE as exc:
            log.error("written contact not offered, consultant %s: %s", self._extension, exc)

    async def _withdraw(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await queue.withdraw_offers(self._engine, self._actor)
        except UNAVAILABLE as exc:
            log.error("written offer not withdrawn, consultant %s: %s", self._extension, exc)
