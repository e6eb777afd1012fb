"""Workers that account for calls at once, again, and die at it."""

import asyncio
import os
import sys
from datetime import timedelta

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.telephony.reconciliation import store
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests import fork_server
from tests.polling import until
from tests.services import CALLCENTER
from tests.storage.recorded import ENDED, KILLED, LINES, account, everything, outcomes, write

# Does the work and dies, as by SIGKILL, right after the named step returned for the nth time.
DYING = """
import asyncio, inspect, os, pkgutil, sys
from datetime import timedelta
from callcenter.telephony.reconciliation import jobs
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.jobs import WorkerResources

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
asyncio.run(jobs.account_for_calls(WorkerResources(settings, open_database(settings)), timedelta()))
"""


STEPS = [
    ("callcenter.telephony.reconciliation.cel_tail.read", 1),
    ("callcenter.telephony.reconciliation.store.save", 1),
    ("callcenter.telephony.reconciliation.store.save_position", 1),
    ("callcenter.telephony.reconciliation.jobs.read_on", 1),
    ("callcenter.telephony.reconciliation.backfill.appeal_of", 1),
    ("callcenter.appeals.calls.store.add_events", 2),
    ("callcenter.recordings.store.close", 1),
    ("callcenter.telephony.reconciliation.backfill.settle_recording", 3),  # an empty one
    ("callcenter.telephony.reconciliation.store.drop", 3),
    ("callcenter.telephony.reconciliation.jobs.settle_call", 2),
]


async def test_several_workers_at_once_do_what_one_does(tools: WorkerResources) -> None:
    write(tools, LINES)
    await asyncio.gather(*(account(tools) for _ in range(5)))
    await account(tools)
    found = await everything(tools)
    assert await outcomes(tools) == ENDED
    assert [row.state for row in found["recordings"]] == ["closed", "closed"]
    numbers = [number for _, number, *_ in found["appeals"]]
    assert len({number[:9] for number in numbers}) == len(ENDED)
    assert max(int(number[2:9]) for number in numbers) == len(ENDED)


async def test_one_worker_reads_the_log_at_a_time(
    tools: WorkerResources,
) -> None:
    write(tools, LINES[:-1])
    await account_for_calls(tools, timedelta(hours=1))
    before = await everything(tools)
    write(tools, LINES[-1:])
    async with unit_of_work(tools.engine) as connection:
        assert await store.try_lock(connection)
        await account(tools)
        assert await everything(tools) == before
    await account(tools)
    assert await outcomes(tools) == ENDED


@pytest.mark.parametrize(("step", "nth"), STEPS)
async def test_killed_anywhere_nothing_is_lost_or_twice(
    tools: WorkerResources, step: str, nth: int
) -> None:
    write(tools, LINES)
    command = (sys.executable, "-c", DYING, step, str(nth))
    dying = await fork_server.begin(command, environment(tools.settings))
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


async def test_a_worker_begins_with_the_cel_log(tools: WorkerResources) -> None:
    write(tools, LINES)
    worker = await fork_server.begin((*CALLCENTER, "worker"), environment(tools.settings))

    async def has_read() -> bool:
        assert worker.returncode is None
        return bool((await everything(tools))["position"])

    try:
        await until(has_read, "the CEL log is read")
        worker.terminate()
        assert await worker.wait() == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    assert {call_id for call_id, _ in (await everything(tools))["open"]} == {*ENDED, KILLED}
