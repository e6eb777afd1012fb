"""Where the time of a run goes: measured in a small project, and as tables."""

import re
from pathlib import Path

import pytest

from tests.gate.conftest import Project
from tests.gate.lanes import PHONES
from tests.gate.test_run import RIGHT, Lines, runs
from tests.gate.times import DEAREST, PhaseTime, describe

#: Uses half a second of processor for each line that it reads.
BURNING = """
import os
import sys
import time

def burn():
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass

if __name__ == "__main__":
    if "orphan" in sys.argv and os.fork():
        os._exit(0)
    for _ in sys.stdin:
        burn()
        print("burnt", flush=True)
"""
MEASURED = """
import select
import subprocess
import sys

import pytest

from burning import burn

def ask(server):
    server.stdin.write("\\n")
    server.stdout.readline()

@pytest.fixture(scope="session", params=["child", "orphan"])
def server(request):
    with subprocess.Popen(
        [sys.executable, "burning.py", request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as started:
        ask(started)
        yield started

def test_burns():
    burn()

def test_waits():
    select.select([], [], [], 0.5)

def test_asks(server):
    ask(server)
"""
ROW = re.compile(r"(?P<numbers> *\d[\d. ]+)  (?P<name>\S+)")
SHARED = PhaseTime("tests/calls/test_waiting.py::test_rings", "setup", 20.0, 25.0)
TIMES = [
    PhaseTime("tests/test_rooms.py::test_rooms", "setup", 0.0, 0.0),
    PhaseTime("tests/test_rooms.py::test_rooms", "call", 1.5, 1.0),
    SHARED,
    SHARED._replace(phase="call", wall=10.0, processor=2.5),
    SHARED._replace(phase="teardown", wall=1.0, processor=0.5),
    PhaseTime("tests/calls/test_waiting.py::test_skipped", "setup", 0.5, 0.0),
]


def numbers(printed: list[str]) -> dict[str, list[float]]:
    """The rows of the tables by their names."""
    matches = (match for line in printed if (match := ROW.fullmatch(line)))
    return {match["name"]: [float(each) for each in match["numbers"].split()] for match in matches}


@pytest.mark.parametrize("processes", [1, 3])
def test_waiting_and_processor_time_of_children_are_measured(
    project: Project, tmp_path: Path, lines: Lines, processes: int
) -> None:
    project.write("burning.py", BURNING)
    project.write("tests/calls/test_one.py", MEASURED)
    lane = PHONES._replace(processes=processes)
    assert runs(project, tmp_path, lanes=(lane,), times=True).run()
    rows = numbers(lines())
    file = "tests/calls/test_one.py::"
    wall, _, processor = rows[f"{file}test_burns"]
    assert wall >= 0.4
    assert processor >= 0.4
    _, waiting, processor = rows[f"{file}test_waits"]
    assert waiting >= 0.3 > processor
    for server in ("child", "orphan"):  # once in the setup, once in the call
        assert rows[f"{file}test_asks[{server}]"][2] >= 0.8
    count, _, _, _, _, setup, waiting, call, _, _ = rows["tests/calls"]
    assert count == 4
    assert setup >= 0.8
    assert waiting >= 0.3
    assert call >= 1.3
    assert rows["total"] == rows["tests/calls"]


def test_nothing_is_measured_without_the_option(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", RIGHT)
    assert runs(project, tmp_path).run()
    assert numbers(lines()) == {}


def test_dearest_come_first_and_phases_stand_by_themselves() -> None:
    printed = list(describe(TIMES))
    assert [" ".join(line.split()) for line in printed if ROW.fullmatch(line)] == [
        "2 31.5 8.5 28.0 0.5 25.0 7.5 2.5 0.5 0.5 tests/calls",
        "1 1.5 0.5 1.0 0.0 0.0 0.5 1.0 0.0 0.0 tests",
        "3 33.0 9.0 29.0 0.5 25.0 8.0 3.5 0.5 0.5 total",
        "31.0 8.0 28.0 tests/calls/test_waiting.py::test_rings",
        "1.5 0.5 1.0 tests/test_rooms.py::test_rooms",
        "0.5 0.5 0.0 tests/calls/test_waiting.py::test_skipped",
    ]
    names = next(line for line in printed if line.endswith("folder"))
    calls = next(line for line in printed if line.endswith("tests/calls"))
    assert names.index("folder") == calls.index("tests/calls")


def test_no_more_than_the_dearest_tests_are_named() -> None:
    times = [
        PhaseTime(f"tests/calls/test_it.py::test_{number}", "call", number, 0.0)
        for number in range(DEAREST + 1)
    ]
    named = [line.rpartition("_")[2] for line in describe(times) if "::" in line]
    assert named == [str(number) for number in range(DEAREST, 0, -1)]
