"""Workers that account for calls at once, again, and die at it."""

import asyncio
import os
import sys
from datetime import timedelta

import pytest

from callcenter.ledger import store
from callcenter.ledger.jobs import account_for_calls
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools
from tests.services import CALLCENTER
from tests.storage.recorded import (
    ENDED,
    KILLED,
    LINES,
    account,
    everything,
    outcomes,
    until,
    write,
)

# Does the work and dies, as by SIGKILL, right after the named step returned for the nth time.
DYING = """
import asyncio, inspect, os, pkgutil, sys
from datetime import timedelta
from callcenter.ledger import jobs
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools

jobs.SWITCH_LIMIT = 0.1
owner, _, name = sys.argv[1].rpartition(".")
owner, left = pkgutil.resolve_name(owner), int(sys.argv[2])
step = getattr(owner, name)
def count(result):
    global left
    left -= 1
    if left == 0:
        os._exit(77)
    return result
if inspect.iscoroutinefunction(step):
    async def counted(*args, **kwargs):
        return count(await step(*args, **kwargs))
else:
    def counted(*args, **kwargs):
        return count(step(*args, **kwargs))
setattr(owner, name, counted)
settings = read_settings()
asyncio.run(jobs.account_for_calls(Tools(settings, open_database(settings)), timedelta()))
"""


STEPS = [
    ("callcenter.ledger.files.read", 1),
    ("callcenter.ledger.store.save", 1),
    ("callcenter.ledger.store.move", 1),
    ("callcenter.ledger.jobs._read_on", 1),
    ("callcenter.ledger.settling._appeal_of", 1),
    ("callcenter.appeals.store.add_events", 2),
    ("callcenter.recordings.store.close", 1),
    ("callcenter.ledger.settling._recording", 3),  # an empty file was removed
    ("callcenter.ledger.store.drop", 3),
    ("callcenter.ledger.jobs._settle", 2),
]


async def test_several_workers_at_once_do_what_one_does(tools: Tools) -> None:
    write(tools, LINES)
    await asyncio.gather(*(account(tools) for _ in range(5)))
    await account(tools)
    found = await everything(tools)
    assert await outcomes(tools) == ENDED
    assert [row.state for row in found["recordings"]] == ["closed", "closed"]
    numbers = [number for _, number, *_ in found["appeals"]]
    assert len({number[:9] for number in numbers}) == len(ENDED)
    assert max(int(number[2:9]) for number in numbers) == len(ENDED)


async def test_while_a_worker_is_at_the_ledger_others_leave_it_alone(tools: Tools) -> None:
    write(tools, LINES[:-1])
    await account_for_calls(tools, timedelta(hours=1))
    before = await everything(tools)
    write(tools, LINES[-1:])
    async with unit_of_work(tools.engine) as connection:
        assert await store.my_turn(connection)
        await account(tools)
        assert await everything(tools) == before
    await account(tools)
    assert await outcomes(tools) == ENDED


@pytest.mark.parametrize(("step", "nth"), STEPS)
async def test_killed_anywhere_nothing_is_lost_or_twice(tools: Tools, step: str, nth: int) -> None:
    write(tools, LINES)
    dying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DYING, step, str(nth)), env=environment(tools.settings)
    )
    assert await dying.wait() == 77
    # The database may take a moment to see that it died, and to give its turn to the next.
    async with asyncio.timeout(10):
        await account(tools)
        while await outcomes(tools) != ENDED:
            await asyncio.sleep(0.05)
            await account(tools)
    found = await everything(tools)
    assert [event[3] for event in found["events"]].count("ended") == len(ENDED)
    assert [row.state for row in found["recordings"]] == ["closed", "closed"]
    assert [call_id for call_id, _ in found["open"]] == [KILLED]
    assert [name for name, size in found["files"] if not size] == []


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "CALLCENTER_VAR": str(settings.var),
        "CALLCENTER_RECORDINGS": str(settings.recordings),
        "CALLCENTER_DATABASE_URL": settings.database,
        "CALLCENTER_AMI_PORT": str(settings.ami_port),
    }


async def test_a_worker_begins_with_the_ledger(tools: Tools) -> None:
    write(tools, LINES)
    worker = await asyncio.create_subprocess_exec(
        *CALLCENTER, "worker", env=environment(tools.settings)
    )

    async def has_read() -> bool:
        assert worker.returncode is None
        return bool((await everything(tools))["position"])

    try:
        await until(has_read, "the ledger is read")
        worker.terminate()
        assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    assert {call_id for call_id, _ in (await everything(tools))["open"]} == {*ENDED, KILLED}
