"""`make soak`: what fails with a fresh seed is found and kept for the next person."""

import re
import subprocess
import sys

from tests.gate.conftest import Project
from tests.gate.soak import FILE

BY_SEED = """
import os
from pathlib import Path

def test_by_seed():
    seed = os.environ["TEST_SEED"]
    with Path("seeds").open("a") as file:
        file.write(seed + "\\n")
    assert seed == "7", "the caller | of another"
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


def test_runs_follow_each_other_until_the_minutes_are_over(project: Project) -> None:
    project.write(str(FILE), HEAD)
    project.write("tests/calls/test_one.py", BY_SEED.replace('== "7"', '!= "7"'))
    found = soak(project, "0.4")
    seeds = (project.folder / "seeds").read_text().split()
    assert len(set(seeds)) == len(seeds) > 1
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == f"{len(seeds)} runs, 0 found"
    assert (project.folder / FILE).read_text() == HEAD
