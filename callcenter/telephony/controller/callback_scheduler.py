"""Schedule callbacks, each claimed by one controller; alert about late ones and voicemail.

A claimed one waits in the queue like a caller. When a consultant is leased to it,
`callback_dialer.CallbackHandler` carries it out.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from callcenter.consultants.store import Consultant
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import REFRESH_INTERVAL, NotifyListener
from callcenter.telephony.acd.distributor import RedisQueuePlace
from callcenter.telephony.callbacks import store
from callcenter.telephony.callbacks.rules import CallbackKind, CallbackState
from callcenter.telephony.callbacks.store import ClaimedCallback, LateCallback
from callcenter.telephony.controller.dependencies import CallDependencies

log = logging.getLogger(__name__)

POLL_INTERVAL = 2.0  # seconds between two looks while any is open, and between renewals of claims
CLAIM_LIMIT = 50  # callbacks that one controller claims at once
OFFER_TIMEOUT = 60.0  # seconds; then a consultant is waited for again
RETRY_INTERVAL = 5.0  # seconds after a fault
#: Seconds until supervisors are alerted again of what is late, unless Redis knows that they were.
ALERT_INTERVAL = 60.0
ALERTS_AT_ONCE = 16  # on connections to Redis that calls need, too
FAULTS = (OperationFailed, SQLAlchemyError, OSError)


class DeferredHandler(Protocol):
    """Carries out callbacks."""

    def is_over(self, callback: ClaimedCallback) -> CallbackState | None:
        """The end of a callback that is not to be tried (any more), else None."""

    def place(self, callback: ClaimedCallback) -> AbstractAsyncContextManager[RedisQueuePlace]:
        """Its place in the queue. Raises one of FAULTS when it cannot be carried out now."""

    async def attempt(
        self, callback: ClaimedCallback, place: RedisQueuePlace, consultant: Consultant
    ) -> bool:
        """Carry it out with the consultant whom the place holds.

        False when that consultant did not answer, and another is to be found. Raises one of FAULTS.
        """


class CallbackScheduler:
    """Claims and carries out callbacks for one controller. `run` must be running."""

    def __init__(
        self,
        dependencies: CallDependencies,
        handler: DeferredHandler,
        listener: NotifyListener,
    ) -> None:
        self._opened = listener.subscribe(store.CHANNEL)
        self._instance = dependencies.instance
        self._engine = dependencies.engine
        self._queue = dependencies.queue
        self._handler = handler
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._running: set[UUID] = set()
        self._late: set[UUID] = set()  # what was alerted of
        self._alert_again_at = 0.0
        self._is_claiming = True

    @property
    def is_busy(self) -> bool:
        """Whether a callback is being carried out now."""
        return bool(self._running)

    @property
    def claims(self) -> frozenset[UUID]:
        """Callbacks that this controller takes care of."""
        return frozenset(self._tasks)

    def stop_claiming(self) -> None:
        """Begin nothing from now on, permanently; running callbacks are finished."""
        self._is_claiming = False

    async def run(self) -> None:
        """Schedule until cancelled: then calls are ended, and other controllers may go on."""
        is_new = True  # claims of an earlier instance of this controller are nobody's now
        try:
            while True:
                is_idle = False
                try:
                    is_idle = not await self._poll(is_new)
                    is_new = False
                except FAULTS as exc:
                    log.error("callbacks not polled: %s", type(exc).__name__)
                if is_idle:
                    await self._opened.wait(REFRESH_INTERVAL)
                else:
                    await asyncio.sleep(POLL_INTERVAL)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self, is_new: bool) -> bool:
        """Renew and claim; returns whether any callback is open, this controller's or not."""
        now = datetime.now(UTC)
        claimed: Sequence[ClaimedCallback] = ()
        async with unit_of_work(self._engine) as connection:
            if is_new:
                await store.release(connection, self._instance)
            held = list(self._tasks)
            mine = await store.renew(connection, self._instance, now, held) if held else set()
            if self._is_claiming:
                free = CLAIM_LIMIT - len(self._tasks)
                claimed = await store.claim(connection, self._instance, now, free)
            late = await store.list_late(connection, now)
            any_open = await store.any_open(connection)
        for callback_id in self._tasks.keys() - mine - self._running:
            self._tasks[callback_id].cancel()  # it was ended, or another controller has it
        for callback_id in () if self._is_claiming else self._tasks.keys() - self._running:
            self._tasks[callback_id].cancel()
        for callback in claimed:
            task = self._tasks[callback.id] = asyncio.create_task(self._handle(callback))
            task.add_done_callback(partial(self._forget, callback.id))
        await self._raise_alerts(late)
        return any_open or bool(self._tasks)

    async def _raise_alerts(self, late: Sequence[LateCallback]) -> None:
        """Alert of what is newly late, and now and then of all: Redis may have been emptied.

        Urgent ones first; where Redis does not answer, the next poll goes on.
        """
        if time.monotonic() >= self._alert_again_at:
            self._late, self._alert_again_at = set(), time.monotonic() + ALERT_INTERVAL
        new = [each for each in late if each.id not in self._late]
        new.sort(key=lambda each: not each.urgent)
        self._late &= {each.id for each in late}
        while new:
            batch, new = new[:ALERTS_AT_ONCE], new[ALERTS_AT_ONCE:]
            delivered = await asyncio.gather(*map(self._raise_alert, batch))
            self._late |= {each.id for each, is_so in zip(batch, delivered, strict=True) if is_so}
            if not all(delivered):
                return

    async def _raise_alert(self, late: LateCallback) -> bool:
        if late.kind is CallbackKind.CALLBACK:
            return await self._queue.alert_callback_overdue(late.id, late.language)
        if late.urgent:
            return await self._queue.alert_urgent_voicemail(late.id, late.language)
        return await self._queue.alert_voicemail_overdue(late.id, late.language)

    def _forget(self, callback_id: UUID, task: asyncio.Task[None]) -> None:
        if self._tasks.get(callback_id) is task:
            del self._tasks[callback_id]

    async def _handle(self, callback: ClaimedCallback) -> None:
        """Wait for a consultant, then carry it out: one attempt."""
        try:
            if (end := self._handler.is_over(callback)) is not None:
                await self._end(callback, end)
            else:
                async with self._handler.place(callback) as place:
                    await self._carry_out(callback, place)
        except FAULTS as exc:
            log.error("callback delayed: %s: %s", callback.id, exc)
            await asyncio.sleep(RETRY_INTERVAL)
        finally:
            await asyncio.shield(self._release(callback))

    async def _carry_out(self, callback: ClaimedCallback, place: RedisQueuePlace) -> None:
        is_carried_out = False
        while not is_carried_out:
            consultant = await place.wait_for_offer(OFFER_TIMEOUT)
            if consultant is None:
                continue
            self._running.add(callback.id)
            try:
                is_carried_out = await self._handler.attempt(callback, place, consultant)
            finally:
                self._running.discard(callback.id)

    async def _end(self, callback: ClaimedCallback, state: CallbackState) -> None:
        async with unit_of_work(self._engine) as connection:
            await store.end(connection, callback.id, state, datetime.now(UTC))

    async def _release(self, callback: ClaimedCallback) -> None:
        try:
            async with unit_of_work(self._engine) as connection:
                await store.release(connection, self._instance, [callback.id])
        except FAULTS as exc:  # the claim ends by itself
            log.error("callback not released: %s: %s", callback.id, type(exc).__name__)
