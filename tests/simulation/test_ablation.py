"""Each safeguard of the product, taken out by itself, breaks a property within a hundred seeds."""

import pytest

from tests.simulation.ablation import SAFEGUARDS, Safeguard
from tests.simulation.scenario import draw
from tests.simulation.world import run

SEEDS = 100
LENGTH = 60.0  # seconds of calls and faults


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda each: each.name)
def test_a_missing_safeguard_is_found(safeguard: Safeguard) -> None:
    with safeguard.without():
        order = [safeguard.found_at, *range(SEEDS)]  # where it was found last comes first
        assert any(run(draw(seed, LENGTH)).violations for seed in order)
