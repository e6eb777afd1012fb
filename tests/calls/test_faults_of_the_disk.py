"""The disk for recordings fills during calls, in a real file system of 8 MiB."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from callcenter.line.outcomes import Moment, Outcome
from tests.calls.fragile import answered_call, both_hear, connected, has_happened
from tests.calls.house import House, until
from tests.calls.parts import Line

MIB = 1024**2
SIZE = 8 * MIB

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system"),
]


@pytest.fixture
def small_spool(fragile: House) -> Iterator[Path]:
    """The spool of the house, with a file system of its own on top."""
    spool = fragile.settings.spool
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


async def alarms(house: House) -> list[str]:
    return [json.loads(each)["kind"] for each in await house.redis.lrange("desk:alarms", 0, -1)]


async def alarmed(house: House, kind: str) -> None:
    async def is_alarmed() -> bool:
        return kind in await alarms(house)

    await until(is_alarmed, f"supervisors are alarmed: {kind}")


async def test_on_a_full_disk_callers_are_served_and_conversations_marked_unrecorded_at_once(
    fragile: House, line: Line, small_spool: Path
) -> None:
    house, first, second = fragile, "+77020000401", "+77020000402"
    await house.redis.delete("desk:alarms")
    async with (
        house.consultant("201") as consultant,
        house.consultant("204") as other,
        house.caller(first) as caller,
    ):
        leg = await connected(house, caller, consultant)
        await has_happened(house, first, Moment.RECORDING_STARTED)
        assert await alarms(house) == []
        await asyncio.to_thread(fill, small_spool, 0.82)
        await alarmed(house, "disk_fills")
        assert "disk_almost_full" not in await alarms(house)
        await asyncio.to_thread(fill, small_spool, 0.95)
        await alarmed(house, "disk_almost_full")
        await has_happened(house, first, Moment.RECORDING_FAILED)
        await alarmed(house, "not_recorded")
        await both_hear(caller, leg)
        async with house.caller(second) as next_one:
            next_leg = await answered_call(next_one, other)
            await next_leg.answer()
            await house.hears(next_leg, "kk", "not_recorded")
            await has_happened(house, second, Moment.RECORDING_FAILED)
            await both_hear(next_one, next_leg)
            await next_leg.hang_up()
            await next_one.ended()
        await leg.hang_up()
        await caller.ended()
    for number in (first, second):
        assert (await house.appeal(number)).outcome == Outcome.TALKED
    spoiled, never = [await house.moments(await house.appeal(n)) for n in (first, second)]
    assert spoiled.count(Moment.RECORDING_FAILED) == 1
    assert Moment.RECORDING_STARTED not in never
