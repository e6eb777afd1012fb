"""Whether the disks of this machine have room for recordings and journals, and who is told.

Callers are served in any case: a conversation that cannot be recorded goes on, and is marked so.
"""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.alarms import Alarm, raise_alarm_once
from callcenter.line.call import Call
from callcenter.recordings.spool import has_room, used

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds
LEVELS = {0.8: Alarm.DISK_FILLS, 0.9: Alarm.DISK_ALMOST_FULL}  #: by the share that is used
TOLD_AGAIN = 3600  # seconds after which supervisors are told again of what lasts
LIMIT = 0.25  # seconds for Redis


class DiskWatch:
    """One controller's look at the disks. `run` must be running."""

    def __init__(
        self, redis: Redis, spool: Path, others: Iterable[Path], calls: Iterable[Call]
    ) -> None:
        """`calls` are those of this controller now; what `spool` has no room for is unrecorded."""
        self._redis = redis
        self._spool = spool
        self._folders = (spool, *others)
        self._calls = calls
        self._level: dict[Path, float] = dict.fromkeys(self._folders, 0.0)

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            try:
                for folder in self._folders:
                    usage = await asyncio.to_thread(used, folder)
                    await self._tell(folder, usage.share)
                if not await asyncio.to_thread(has_room, self._spool):
                    await self._mark_unrecorded()
            except OSError as exc:
                log.critical("cannot see whether the disk is full: %s", exc)
            await asyncio.sleep(LOOK)

    async def _tell(self, folder: Path, share: float) -> None:
        level = max((each for each in LEVELS if share >= each), default=0.0)
        if level > self._level[folder]:
            log.critical("%d %% of the disk under %s are used: make room", share * 100, folder)
            about = f"disk:{folder.name}:{level}"
            try:
                async with asyncio.timeout(LIMIT):
                    await raise_alarm_once(self._redis, LEVELS[level], "", about, TOLD_AGAIN)
            except (RedisError, OSError, TimeoutError) as exc:
                log.error("the alarm reaches nobody: %s", str(exc) or "no answer")
        self._level[folder] = level

    async def _mark_unrecorded(self) -> None:
        for call in list(self._calls):
            if call.spoil_recording is not None:
                call.spoil_recording("no room on the disk")
                await call.queue.not_recorded(call.leg.id, call.wanted_language)
