"""Each safeguard of the product, taken out by itself, breaks a property within a hundred seeds."""

import pytest

from tests.simulation.ablation import SAFEGUARDS, Safeguard
from tests.simulation.scenario import draw
from tests.simulation.world import run

SEEDS = 100
LENGTH = 60.0  # seconds of calls and faults


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda each: each.name)
def test_a_missing_safeguard_is_found(safeguard: Safeguard) -> None:
    """By what befalls callers or others, in a seed that breaks nothing while it is there."""
    order = [safeguard.found_at, *range(SEEDS)]  # where it was found last comes first
    with safeguard.without():
        results = (run(draw(seed, LENGTH, safeguard.kinds)) for seed in order)
        found = next((each for each in results if each.violations), None)
    assert found is not None
    assert not [each for each in found.violations if each.is_exception]
    if safeguard.kinds:  # the seeds of all kinds run in test_simulation.py with all that is there
        assert not run(found.scenario).violations
