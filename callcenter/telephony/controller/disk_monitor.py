"""Watch the disks for recordings and journals; alert supervisors before they are full.

Callers are served in any case: a conversation that cannot be recorded goes on, and is marked so.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.platform.core.beats import next_beat, until_beat
from callcenter.platform.monitoring.alerts import raise_alert_once
from callcenter.recordings.sealing.spool import disk_usage, has_room
from callcenter.telephony.controller.active_calls import ActiveCalls
from callcenter.telephony.controller.alerts import DISK_ALMOST_FULL, DISK_FILLS

log = logging.getLogger(__name__)

CHECK_INTERVAL = 1.0  # seconds between two checks while there are calls
IDLE_INTERVAL = 10.0  # seconds between two else, but for a call that comes
LEVELS = {0.8: DISK_FILLS, 0.9: DISK_ALMOST_FULL}  #: by the share that is used
ALERT_INTERVAL = 3600  # seconds after which supervisors are alerted again of what lasts
REDIS_TIMEOUT = 0.25  # seconds


class DiskMonitor:
    """Watches the disks for one controller. `run` must be running."""

    def __init__(
        self, redis: Redis, spool: Path, others: Iterable[Path], calls: ActiveCalls
    ) -> None:
        """`calls` are those of this controller now, unrecorded once `spool` is full."""
        self._redis = redis
        self._spool = spool
        self._folders = (spool, *others)
        self._calls = calls
        self._level: dict[Path, float] = dict.fromkeys(self._folders, 0.0)
        self._untaken: set[Path] = set()  # whose alert Redis did not take

    async def run(self) -> None:
        """Check until cancelled: when a call comes, and every second while there are calls."""
        while True:
            try:
                shares, has_room_left = await asyncio.to_thread(self._look)
                if not has_room_left:
                    await self._mark_unrecorded()
                for folder, share in shares.items():
                    await self._alert(folder, share)
            except OSError as exc:
                log.critical("disk check failed: %s", exc)
            if self._calls.any.is_set():
                await until_beat(CHECK_INTERVAL)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(next_beat(IDLE_INTERVAL) - time.monotonic()):
                        await self._calls.any.wait()

    def _look(self) -> tuple[Mapping[Path, float], bool]:
        """Used shares by folder, and whether there is room to record. Blocks; raises OSError."""
        shares = {folder: disk_usage(folder).share for folder in self._folders}
        return shares, has_room(self._spool)

    async def _alert(self, folder: Path, share: float) -> None:
        """Log a level that is reached, and alert of it while it lasts, once an hour."""
        level = max((each for each in LEVELS if share >= each), default=0.0)
        if level > self._level[folder]:
            log.critical("disk almost full: %d %% used under %s: make room", share * 100, folder)
        self._level[folder] = level
        if not level:
            return
        about = f"disk:{folder.name}:{level}"
        try:
            async with asyncio.timeout(REDIS_TIMEOUT):
                await raise_alert_once(self._redis, LEVELS[level], "", about, ALERT_INTERVAL)
        except (RedisError, OSError, TimeoutError) as exc:
            if folder not in self._untaken:  # this is tried again with each check
                log.error("alert not raised: %s", str(exc) or "no answer")
            self._untaken.add(folder)
        else:
            self._untaken.discard(folder)

    async def _mark_unrecorded(self) -> None:
        for call in list(self._calls):
            if call.on_recording_lost is not None:
                call.on_recording_lost("no room on the disk")
                await call.alert_not_recorded()
