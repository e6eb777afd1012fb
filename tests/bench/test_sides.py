"""Both sides really serve the generator's calls, and what was kept of them is found."""

from pathlib import Path

import pytest

from tests.bench.rig import Rig, prompts, rig
from tests.bench.sides import Plain, Product, Stock

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


@pytest.fixture(scope="session")
def built() -> Path:
    return prompts()


async def serves_and_records_every_call(running: Rig) -> None:
    sample = await running.measure("fixed", rate=2.0, seconds=2.0, talk=1.5)
    assert sample.calls == 4
    assert sample.faults == {}
    assert sample.missing == 0
    # Each recording was compared with its own conversation. On a busy machine the generator itself
    # may stand still at the beginning or the end of one of them, but hardly of most.
    assert sample.difference.worst < 1000
    assert sample.difference.p50 < 100
    assert sample.recorded > 0
    assert 0 < sample.answer.p50 < 5000
    assert 0 < sample.ring.p50 < 5000
    assert sample.cpu.keys() == sample.memory.keys()
    assert all(size > 0 for size in sample.memory.values())


async def test_ours_serves_and_records_every_call(built: Path) -> None:
    async with rig(Product, Stock(consultants=4), built) as running:
        await serves_and_records_every_call(running)


async def test_a_call_that_no_consultant_hears_has_failed(
    built: Path,
) -> None:
    async with rig(Plain, Stock(consultants=4), built) as running:
        await serves_and_records_every_call(running)
        sample = await running.measure("fixed", rate=50.0, seconds=0.1, talk=1.5)
    assert sample.faults == {"no consultant": 1}
