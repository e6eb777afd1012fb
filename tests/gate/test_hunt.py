"""`make hunt`: the same tests again and again, each time with another seed."""

import re
import subprocess
import sys
from pathlib import Path

import psutil

from tests.gate.conftest import Project
from tests.gate.hunt import LOOPS, busy_loops

SOMETIMES = """
import os
from pathlib import Path

def test_sometimes():
    with Path("seeds").open("a") as file:
        file.write(os.environ["TEST_SEED"] + "\\n")
    assert len(Path("seeds").read_text().split()) != 2, "the caller of another"
"""


def hunt(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.gate.hunt", *arguments]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)


def test_a_race_is_found_and_named_with_its_seed(project: Project) -> None:
    project.write("tests/calls/test_one.py", SOMETIMES)
    found = hunt(project, "--times", "3", "tests/calls/test_one.py")
    seeds = (project.folder / "seeds").read_text().split()
    assert len(set(seeds)) == 3
    assert found.returncode == 1, found.stderr
    assert re.search(f"2 of 3, seed {seeds[1]}: failed\n  .*the caller of another", found.stdout)
    assert found.stdout.splitlines()[-1] == "3 runs, 1 failed: see var/tests/hunt"
    log = project.folder / "var/tests/hunt" / f"{seeds[1]}.log"
    assert "test_sometimes" in log.read_text()


def test_what_always_passes_has_no_race(project: Project) -> None:
    project.write("tests/calls/test_one.py", "def test_right():\n    pass\n")
    found = hunt(project, "--times", "2", "tests/calls/test_one.py")
    assert found.returncode == 0
    assert found.stdout.splitlines()[-1] == "2 runs, 0 failed"


def test_a_test_that_does_not_exist_fails(project: Project, tmp_path: Path) -> None:
    found = hunt(project, "--times", "1", "tests/calls/test_none.py")
    assert found.returncode == 1
    assert "pytest ended with 4" in found.stdout


def test_beside_it_so_many_processes_are_busy() -> None:
    me = psutil.Process()
    before = set(me.children())
    with busy_loops():
        loops = set(me.children()) - before
        assert len(loops) == LOOPS
        for each in loops:
            while each.cpu_times().user < 0.05:
                assert each.status() != psutil.STATUS_ZOMBIE
    assert not any(each.is_running() for each in loops)
