"""A short run of `make chaos`, with callers in all stages."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from callcenter.launcher.supervisor import environment
from tests.calls.call_center import CallCenter
from tests.calls.processes import OwnPostgres, OwnRedis, Process, running_controller_program
from tests.chaos.faults import Parts, all_controllers_killed, controller_killed, postgresql_frozen
from tests.chaos.run import chaos
from tests.seeds import run_seed
from tests.services import CALLCENTER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
    pytest.mark.slow,
    pytest.mark.alone,
]


@pytest_asyncio.fixture(loop_scope="session")
async def parts(
    disposable: CallCenter, postgres_server: OwnPostgres, redis_server: OwnRedis
) -> AsyncIterator[Parts]:
    settings = disposable.settings
    worker = Process(
        (*CALLCENTER, "worker"), settings.var / "worker.log", dict(environment(settings))
    )
    async with (
        running_controller_program(settings, "line-1") as one,
        running_controller_program(settings, "line-2") as two,
    ):
        await worker.start()
        try:
            yield Parts(disposable, [one, two], worker, postgres_server, redis_server, frozen=3.0)
        finally:
            await worker.kill()


async def test_nothing_is_lost_when_controllers_die_and_the_database_freezes(
    parts: Parts,
) -> None:
    seed = run_seed()
    faults = [controller_killed, postgresql_frozen, all_controllers_killed]
    result = await chaos(parts, faults, seed=seed, callers=15, every=0.8, conversations=2)
    said = f"seed {seed}\n{result.table()}"
    assert not result.lost, said
    assert result.conversations > 0, said
