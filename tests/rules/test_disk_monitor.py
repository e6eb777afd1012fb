"""When the disks are looked at: what a call begins against is never old."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from callcenter.recordings.sealing.spool import DiskUsage
from callcenter.telephony.controller import disk_monitor
from callcenter.telephony.controller.active_calls import ActiveCalls


class _Call:
    """A call that is recorded."""

    def __init__(self) -> None:
        self.leg, self.record = SimpleNamespace(id="leg"), object()
        self.is_marked, self.on_recording_lost = asyncio.Event(), self._mark

    def _mark(self, _why: str) -> None:
        self.is_marked.set()

    async def alert_not_recorded(self) -> None:
        """Tell supervisors."""


async def test_disks_are_checked_when_the_first_call_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_room, was_checked = True, asyncio.Event()

    def look(_spool: Path) -> bool:
        was_checked.set()
        return has_room

    async def at_once(function: Callable[[], Any]) -> Any:
        return function()

    monkeypatch.setattr(asyncio, "to_thread", at_once)  # it is idle as soon as it has looked
    monkeypatch.setattr(disk_monitor, "disk_usage", lambda _: DiskUsage(total=2, used=1, free=1))
    monkeypatch.setattr(disk_monitor, "has_room", look)
    monkeypatch.setattr(disk_monitor, "IDLE_INTERVAL", 3600.0)
    calls, call = ActiveCalls(), _Call()
    monitor = disk_monitor.DiskMonitor(cast(Any, None), tmp_path, (), calls)
    running = asyncio.create_task(monitor.run())
    async with asyncio.timeout(10):
        await was_checked.wait()
        has_room = False  # it fills while nobody calls
        calls.begin(cast(Any, call))
        await call.is_marked.wait()
    running.cancel()
    await asyncio.wait((running,))
