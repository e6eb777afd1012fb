"""Seeds of the simulation in which every property holds, and what overload did before."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence

import pytest

from callcenter.telephony.controller import takeover
from tests.simulation.ablation import SAFEGUARDS
from tests.simulation.scenario import Fault, FaultKind, Scenario, draw
from tests.simulation.world import Result, run

SEEDS, AT_ONCE = 100, 20  # in all, and in one test
EVEN_SEEDS = 200  # besides, with each kind of fault as often as the others
LENGTH = 60.0  # seconds of calls and faults, besides the time until all callers have gone
HASH_SEEDS = ("1", "4711")
REPEATED = 6  # seeds that are run in two processes
HALVES = 5  # a seed in which calls are taken over by halves at first

#: The machine of 27 November: two controllers, many calls, and others want the processors too.
OVERLOAD = Scenario(
    seed=27_11,
    length=60.0,
    controllers=2,
    consultants=8,
    call_interval=0.3,
    restart_delay=1.0,
    faults=(Fault(15.0, FaultKind.PRESSURE, ("line-1",), 20.0, 0.6),),
)
#: One dies whose calls nobody can restore, as when a version that is to come wrote of them.
UNREADABLE = Scenario(
    seed=30_11,
    length=60.0,
    controllers=2,
    consultants=2,
    call_interval=1.0,
    restart_delay=1.0,
    faults=(Fault(20.0, FaultKind.UNREADABLE, ("line-1",), 0.0, 0.0),),
)


def summary(result: Result, more: str = "") -> str:
    """What is printed of a run that breaks a property; `more` the command takes beside the seed."""
    found = "\n".join(map(str, result.violations))
    seed = result.scenario.seed
    return f"seed {seed}: make simulate START={seed}{more}\n{found}"


def assert_holds(seeds: Iterable[int], kinds: Sequence[FaultKind] = ()) -> None:
    for seed in seeds:
        result = run(draw(seed, LENGTH, kinds))
        assert not result.violations, summary(result, " KIND=all" if kinds else "")
        assert result.calls


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_every_property_holds_in_these_seeds(first: int) -> None:
    assert_holds(range(first, first + AT_ONCE))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, EVEN_SEEDS, AT_ONCE))
def test_every_property_holds_with_rare_faults_as_often(first: int) -> None:
    assert_holds(range(first, first + AT_ONCE), tuple(FaultKind))


def test_a_seed_repeats_byte_for_byte_in_another_process() -> None:
    traces = [
        subprocess.run(
            (
                *(sys.executable, "-m", "tests.simulation", "--trace", "--jobs", "1"),
                *("--seeds", str(REPEATED), "--digest"),
            ),
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": each},
        ).stdout.splitlines()[:-1]  # the last line has the time that it took
        for each in HASH_SEEDS
    ]
    assert traces[0] == traces[1]
    assert len(traces[0]) > 10 * REPEATED


def test_ten_minutes_of_the_line_are_served() -> None:
    result = run(draw(111, 600.0))
    assert not result.violations, summary(result)
    assert result.calls > 80


def test_an_overloaded_machine_loses_no_call() -> None:
    result = run(OVERLOAD)
    assert not result.violations, summary(result)
    assert "ended: fenced" not in "\n".join(result.trace)


def test_callers_whose_call_nobody_can_restore_fall_back() -> None:
    """And conversations go on: the properties say how long a caller may hear nothing."""
    result = run(UNREADABLE)
    assert not result.violations, summary(result)
    assert "ALERT call not restored" in "\n".join(result.trace)


def test_calls_taken_by_halves_are_tried_again_before_falling_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the first attempt took: who takes over may be late itself."""
    monkeypatch.setattr(takeover, "RESTORE_LIMIT", 0.0)
    result = run(draw(HALVES, LENGTH))
    assert not result.violations, summary(result)
    assert "channels could not be taken over whole" in "\n".join(result.trace)


def test_lateness_taken_for_death_brings_the_collapse_back() -> None:
    """As on 27 November, under heartbeats: late controllers take each other's calls, and end."""
    (former,) = (each for each in SAFEGUARDS if each.name == "lateness is not death")
    with former.without():
        result = run(OVERLOAD)
    broken = [each for each in result.violations if "acted on call" in each.what]
    assert len(broken) > 5
