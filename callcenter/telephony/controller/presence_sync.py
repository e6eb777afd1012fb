"""Tell the distributor the roster (from PostgreSQL) and device states (from Asterisk)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import state_history
from callcenter.consultants import store as consultants
from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_position import RedisQueueMonitor

BATCH_INTERVAL = 0.02  # seconds that a telephone's state waits for others, to be sent together
#: Seconds. An event so old is no news: we stood still, or the network did. (The distributor takes
#: an old state for a new one by a clock that was set back.) Asterisk is asked instead.
STALE_AFTER = 5.0
TECHNOLOGY = "PJSIP/"
FAULT = "presence sync failed"


class PresenceSync:
    """Keeps the distributor in step, for one controller; faults are logged, all is sent again."""

    def __init__(
        self,
        distributor: RedisCallDistributor,
        queue: RedisQueueMonitor,
        engine: AsyncEngine,
        device_states: Callable[[], Awaitable[Mapping[str, str]]],
        changes: Subscription,
    ) -> None:
        """`device_states` asks Asterisk for the state of every device, by its name.

        `changes` are those of who may be offered calls, `consultants.store.CHANGED`.
        """
        self._distributor = distributor
        self._queue = queue
        self._engine = engine
        self._device_states = device_states
        self._changes = changes
        self._states_due = Subscription()
        self._news: dict[str, tuple[str, float]] = {}
        self.tasks = BackgroundTasks()

    def device_changed(self, event: Mapping[str, str]) -> None:
        """Take AMI's event DeviceStateChange: repeated, late or out of order it does no harm."""
        name = event["Device"].removeprefix(TECHNOLOGY)
        if name == event["Device"] or not name.isdigit():  # trunks have names
            return
        if "ActionID" in event:  # an item of a list that was answered comes again: it is no news
            return
        stamp = float(event["Timestamp"])
        if time.time() - stamp > STALE_AFTER:
            self._states_due.notify()
            return
        if not self._news:
            self.tasks.spawn(self._send_news())
        if name not in self._news or self._news[name][1] <= stamp:
            self._news[name] = (event["State"], stamp)

    def reloaded(self, _: Mapping[str, str]) -> None:
        """Take AMI's event Reload: there may be other telephones."""
        self._states_due.notify()

    def refresh(self) -> None:
        """Have all sent again: Redis has lost it, or Asterisk was away; returns at once."""
        self._changes.notify()
        self._states_due.notify()

    async def run(self) -> None:
        """Send it all again after each change and every minute, until cancelled.

        Roster and states wait for nothing of each other: Asterisk may be silent, or the database.
        So who is shut out is offered nothing more, and what rings there goes to another. Who talks
        goes on, for the caller's sake, and supervisors are alerted.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._changes.follow(self._send_roster, FAULT))
            tasks.create_task(self._states_due.follow(self._send_states, FAULT))

    async def _send_roster(self) -> None:
        read_at, fault = 0.0, None
        try:
            read_at = await self._distributor.read_clock()
        except DistributorUnavailable as exc:  # its own clock may be late: the roster were refused
            fault = exc
        async with unit_of_work(self._engine) as connection:
            states = await state_history.last_changes(connection)
            roster = await consultants.active(connection)
        self._distributor.take_roster(roster)
        if fault is not None:
            raise fault
        await self._distributor.update_roster(roster, states, read_at)
        self._states_due.notify()  # there may be others whose telephones count
        for call_id, extension in self._distributor.shut_out_consultants.items():
            await self._queue.alert_shut_out_talking(call_id, extension)

    async def _send_states(self) -> None:
        stamp = time.time()
        devices = await self._device_states()
        telephones = {
            device.removeprefix(TECHNOLOGY): state
            for device, state in devices.items()
            if device.startswith(TECHNOLOGY)
        }
        await self._distributor.update_devices(telephones, stamp)

    async def _send_news(self) -> None:
        await asyncio.sleep(BATCH_INTERVAL)
        news, self._news = self._news, {}
        try:
            await self._distributor.update_device_changes(news)
        except DistributorUnavailable:
            self._states_due.notify()
