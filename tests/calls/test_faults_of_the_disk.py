"""The disk for recordings fills during calls, in a real file system of 8 MiB."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import answered_call, both_hear, connected, has_happened
from tests.calls.processes import ControllerProgram
from tests.polling import until

MIB = 1024**2
SIZE = 8 * MIB

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system"),
]


@pytest.fixture
def small_spool(disposable: CallCenter) -> Iterator[Path]:
    """The spool of the call center, with a file system of its own on top."""
    spool = disposable.settings.spool
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", spool],
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets nobody mount: {mounted.stderr.decode()}")
    yield spool
    subprocess.run(["umount", "--lazy", spool], check=True)


def fill(spool: Path, share: float) -> None:
    """Have this share of it be used."""
    usage = os.statvfs(spool)
    free = usage.f_bavail * usage.f_frsize
    with (spool / "somebody-else.dat").open("ab") as file:
        file.write(b"\0" * int(free - (1 - share) * SIZE))


async def alerts(call_center: CallCenter) -> list[str]:
    return [
        json.loads(each)["kind"] for each in await call_center.redis.lrange("desk:alarms", 0, -1)
    ]


async def alerted(call_center: CallCenter, kind: str) -> None:
    async def is_alerted() -> bool:
        return kind in await alerts(call_center)

    await until(is_alerted, f"supervisors are alerted: {kind}")


async def test_on_a_full_disk_callers_are_served_and_marked_unrecorded(
    disposable: CallCenter, line: ControllerProgram, small_spool: Path
) -> None:
    call_center, first, second = disposable, "+77020000401", "+77020000402"
    await call_center.redis.delete("desk:alarms")
    async with (
        call_center.consultant("201") as consultant,
        call_center.consultant("204") as other,
        call_center.caller(first) as caller,
    ):
        leg = await connected(call_center, caller, consultant)
        await has_happened(call_center, first, CallEvent.RECORDING_STARTED)
        assert await alerts(call_center) == []
        await asyncio.to_thread(fill, small_spool, 0.82)
        await alerted(call_center, "disk_fills")
        assert "disk_almost_full" not in await alerts(call_center)
        await asyncio.to_thread(fill, small_spool, 0.95)
        await alerted(call_center, "disk_almost_full")
        await has_happened(call_center, first, CallEvent.RECORDING_FAILED)
        await alerted(call_center, "not_recorded")
        await both_hear(caller, leg)
        async with call_center.caller(second) as next_one:
            next_leg = await answered_call(next_one, other)
            await next_leg.answer()
            await call_center.hears(next_leg, "kk", "not_recorded")
            await has_happened(call_center, second, CallEvent.RECORDING_FAILED)
            await both_hear(next_one, next_leg)
            await next_leg.hang_up()
            await next_one.ended()
        await leg.hang_up()
        await caller.ended()
    for number in (first, second):
        assert (await call_center.appeal(number)).outcome == Outcome.TALKED
    spoiled, never = [
        await call_center.moments(await call_center.appeal(n)) for n in (first, second)
    ]
    assert spoiled.count(CallEvent.RECORDING_FAILED) == spoiled.count(CallEvent.ALERTED) == 1
    assert never.count(CallEvent.ALERTED) == 1
    assert CallEvent.RECORDING_STARTED not in never
