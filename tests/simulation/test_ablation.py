"""Each safeguard of the product, taken out by itself, breaks a property within a hundred seeds."""

import pytest

from tests.simulation.ablation import SAFEGUARDS, Safeguard
from tests.simulation.scenario import draw
from tests.simulation.world import run

SEEDS = 100
LENGTH = 60.0  # seconds of calls and faults
FOCUSED = [each for each in SAFEGUARDS if each.kinds]


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=lambda each: each.name)
def test_a_missing_safeguard_is_found(safeguard: Safeguard) -> None:
    with safeguard.without():
        order = [safeguard.found_at, *range(SEEDS)]  # where it was found last comes first
        assert any(run(draw(seed, LENGTH, safeguard.kinds)).violations for seed in order)


@pytest.mark.parametrize("safeguard", FOCUSED, ids=lambda each: each.name)
def test_the_same_faults_break_nothing_while_it_is_there(safeguard: Safeguard) -> None:
    assert not run(draw(safeguard.found_at, LENGTH, safeguard.kinds)).violations
