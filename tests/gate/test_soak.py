"""`make soak`: what fails with a fresh seed is found and kept for the next person."""

import itertools
import re
import subprocess
import sys
import time

import pytest

from tests.gate.conftest import Project
from tests.gate.soak import FILE, fresh_seeds

BY_SEED = """
import os
from pathlib import Path

def test_by_seed():
    seed = os.environ["TEST_SEED"]
    with Path("seeds").open("a") as file:
        file.write(seed + "\\n")
    assert seed == "7", "the caller | of another"
"""
#: As soon as the failure of the other test has been written down.
HANGS = """
import time

def test_hangs():
    outcomes = Path(os.environ["TMPDIR"]) / "outcomes"
    while not outcomes.exists() or not outcomes.read_text():
        time.sleep(0.05)
    Path("hangs").touch()
    time.sleep(600)
"""
HEAD = "| date | seed | test | alone | message |\n| --- | --- | --- | --- | --- |\n"


def soak(project: Project, minutes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.gate.soak", "--minutes", minutes, "tests/calls"]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)


def test_a_fault_by_a_fresh_seed_is_noted(project: Project) -> None:
    project.write(str(FILE), HEAD)
    source = BY_SEED + "\ndef test_right():\n    pass\n"
    project.write("tests/calls/test_one.py", source)
    project.commit("2026-11-28 12:00 +0000")
    project.write("README", "later")
    project.commit()
    found = soak(project, "0")
    seed, *again = (project.folder / "seeds").read_text().split()
    assert set(again) == {seed}
    assert found.returncode == 1, found.stderr
    assert found.stdout.splitlines()[-1] == f"1 runs, 1 found: see {FILE}"
    *head, row = (project.folder / FILE).read_text().splitlines()
    assert "\n".join(head) + "\n" == HEAD
    test = re.escape("`tests/calls/test_one.py::test_by_seed`")
    expected = rf"\| [\d-]+ \| {seed} \| {test} \| fails \| lane phones, load [\d.]+, value: "
    assert re.match(expected + "AssertionError: the caller   of another", row)


def test_what_passes_with_a_fresh_seed_is_not_noted(project: Project) -> None:
    project.write(str(FILE), HEAD)
    project.write("tests/calls/test_one.py", BY_SEED.replace('== "7"', '!= "7"'))
    found = soak(project, "0")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "1 runs, 0 found"
    assert (project.folder / FILE).read_text() == HEAD


def test_a_soak_without_tests_says_so(project: Project) -> None:
    project.write(str(FILE), HEAD)
    project.write("tests/rules/test_one.py", BY_SEED)
    found = soak(project, "60")
    assert found.returncode == 2
    assert "Error: no test ran" in found.stderr
    assert (project.folder / FILE).read_text() == HEAD


@pytest.mark.parametrize(("minutes", "count"), [(0, 1), (59, 2), (62, 3)])
def test_runs_begin_until_the_minutes_are_over(minutes: float, count: int) -> None:
    clock = itertools.count(0.0, step=60 * 30.5).__next__  # at the end of each run
    seeds = list(fresh_seeds(minutes, clock))
    assert len(seeds) == len(set(seeds)) == count


def test_a_stopped_soak_keeps_what_it_found(project: Project) -> None:
    project.write(str(FILE), HEAD)
    project.write("tests/calls/test_one.py", BY_SEED + HANGS)
    command = [sys.executable, "-m", "tests.gate.soak", "tests/calls/test_one.py"]
    with subprocess.Popen(command, cwd=project.folder) as running:
        deadline = time.monotonic() + 60
        while not (project.folder / "hangs").exists():
            assert time.monotonic() < deadline, "the tests did not begin"
            time.sleep(0.05)
        running.terminate()
        assert running.wait(60) == 130
    assert "test_by_seed" in (project.folder / FILE).read_text()
