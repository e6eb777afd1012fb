"""What lets a commit in and what keeps it out, by runs of the gate on a small project."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from callcenter.platform.core.settings import ROOT
from tests.gate import leftovers
from tests.gate.conftest import SEED, Project
from tests.gate.lanes import COMPUTE, LANES, PHONES, Lane
from tests.gate.results import MOST_FAILURES, FailureKind, ResultFolder
from tests.gate.run import Gate, Limits, Request
from tests.gate.runs import FILE as RUNS_FILE
from tests.gate.runs import read_runs

RIGHT = "def test_right():\n    pass\n"
WRONG = "def test_wrong():\n    assert 1 + 1 == 3\n"
#: Fails as often as the number says, then passes.
FAILS = """
from pathlib import Path

def test_late():
    file = Path("failed")
    failed = len(file.read_text()) if file.exists() else 0
    file.write_text("x" * (failed + 1))
    if failed in {times}:
        raise TimeoutError("no RINGING in 10 s")
"""
CASES = """
import pytest

@pytest.mark.parametrize("number", range({number}))
def test_it(number):
    {does}
"""
SHARES = """
import pytest
from pathlib import Path

@pytest.fixture(scope="session")
def house():
    with Path("torn").open("a") as file:
        file.write("x")
    assert Path("torn").read_text() != "x", "a call is left"

def test_it(house):
    pass
"""
LEAVES = """
import subprocess

def test_leaves_a_process():
    subprocess.Popen(["sleep", "60"])
"""

# Not side by side, which begins later.
COMPUTING = COMPUTE._replace(processes=1)
TELEPHONING = PHONES._replace(processes=1)

Lines = Callable[[], list[str]]


def runs(
    project: Project,
    folder: Path,
    *,
    minutes: float = 5,
    grace: float = 1,
    lanes: Sequence[Lane] = (TELEPHONING,),
    **requested: object,
) -> Gate:
    """A gate that has not run yet, with a grace that is short enough for a test."""
    request = Request(**requested)  # type: ignore[arg-type]
    (run := folder / "run").mkdir()
    return Gate(project.folder, run, request, Limits(minutes, grace=grace), lanes)


def test_a_right_commit_passes_and_says_how_many(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/rules/test_one.py", RIGHT)
    project.write("tests/calls/test_two.py", RIGHT)
    project.write(
        "tests/calls/test_three.py", "import pytest\npytestmark = pytest.mark.alone\n" + RIGHT
    )
    project.commit()
    assert runs(project, tmp_path, lanes=LANES).run()
    printed = lines()
    assert f"seed {SEED}" in printed
    assert printed[-2:] == ["3 ran", "3 passed, 0 failed"]
    for lane in ("compute, 2", "phones, 3", "alone, 1"):
        assert f"-- lane {lane} at a time" in printed


@pytest.mark.parametrize(
    ("file", "lane"), [("rules/test_one.py", "compute"), ("calls/test_one.py", "phones")]
)
def test_what_passes_three_times_alone_was_unsteady(
    project: Project, tmp_path: Path, lines: Lines, file: str, lane: str
) -> None:
    project.write(f"tests/{file}", FAILS.format(times={0}))
    lanes = [each for each in (COMPUTING, TELEPHONING) if each.name == lane]
    assert runs(project, tmp_path, lanes=lanes).run()
    assert (project.folder / "failed").read_text() == "xxxx"
    *_, unsteady, last = lines()
    assert unsteady.startswith(
        f"unsteady, passed 3 of 3 alone: tests/{file}::test_late (lane {lane}, load "
    )
    assert unsteady.endswith(", limit): TimeoutError: no RINGING in 10 s")
    assert last == "1 passed, 0 failed"


def write_and_commit_long_ago(project: Project, file: str, source: str) -> None:
    """What is written after this is another change."""
    project.write(file, source)
    project.commit("2026-11-29 12:00 +0000")
    project.write("README", "later")
    project.commit()


WRONG_ONCE = FAILS.replace('raise TimeoutError("no RINGING in 10 s")', "assert failed == 7")


@pytest.mark.parametrize("file", ["rules/test_one.py", "calls/test_one.py"])
def test_a_value_in_an_old_test_runs_again_too(
    project: Project, tmp_path: Path, lines: Lines, file: str
) -> None:
    write_and_commit_long_ago(project, f"tests/{file}", WRONG_ONCE.format(times={0}))
    project.write(f"tests/{file}", WRONG_ONCE.format(times={0}) + RIGHT)  # changes another
    project.commit()
    lanes = (COMPUTING,) if file.startswith("rules") else (TELEPHONING,)
    assert runs(project, tmp_path, lanes=lanes).run()
    assert (project.folder / "failed").read_text() == "xxxx"
    assert ", value): assert 0 == 7" in lines()[-2]


def test_a_value_that_stays_in_an_old_test_is_wrong(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    write_and_commit_long_ago(project, "tests/calls/test_one.py", WRONG)
    assert not runs(project, tmp_path).run()
    printed = lines()
    assert printed[-2].startswith(
        "wrong, alone too: tests/calls/test_one.py::test_wrong (lane phones"
    )
    assert printed[-2].endswith("value): assert (1 + 1) == 3; alone: assert (1 + 1) == 3")
    assert printed[-1] == "0 passed, 1 failed"


@pytest.mark.parametrize(("branch", "count"), [("main", 4), ("work", 1)])
def test_what_a_branch_has_beyond_main_is_its_change(
    project: Project, tmp_path: Path, branch: str, count: int
) -> None:
    project.write("README", "before")
    project.commit("2026-11-28 12:00 +0000")
    project.switch(branch)
    write_and_commit_long_ago(project, "tests/calls/test_one.py", WRONG_ONCE.format(times={0}))
    assert runs(project, tmp_path).run() == (count == 4)
    assert len((project.folder / "failed").read_text()) == count


@pytest.mark.parametrize("file", ["rules/test_one.py", "calls/test_one.py"])
def test_a_value_in_a_changed_test_is_red_at_once(
    project: Project, tmp_path: Path, lines: Lines, file: str
) -> None:
    write_and_commit_long_ago(project, f"tests/{file}", WRONG_ONCE.format(times={9}))
    project.write(f"tests/{file}", WRONG_ONCE.format(times={0}))
    project.commit()
    lanes = (COMPUTING,) if file.startswith("rules") else (TELEPHONING,)
    assert not runs(project, tmp_path, lanes=lanes).run()
    assert (project.folder / "failed").read_text() == "x"  # it did not run again
    *_, fault, last = lines()
    test = f"tests/{file}::test_late"
    assert fault == f"wrong: red at once, a value in a test of this change: {test}"
    assert last == "0 passed, 1 failed"


def write_unsteady_file(project: Project, *rows: str) -> None:
    project.write("docs/testing/late.md", "\n".join(["## Quarantine", "", *rows, ""]))


def test_what_is_in_quarantine_runs_and_is_only_named(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", FAILS.format(times={0}))
    since = datetime.now(UTC).date() - timedelta(days=5)
    row = f"| {since} | `tests/calls/test_one.py` | under load, decision 82 |"
    write_unsteady_file(project, row)
    assert runs(project, tmp_path).run()
    assert (project.folder / "failed").read_text() == "x"  # it did not run again
    *_, quarantined, unsteady, last = lines()
    assert quarantined == "quarantined: tests/calls/test_one.py (9 days left)"
    assert unsteady.startswith(
        "unsteady, in quarantine: tests/calls/test_one.py::test_late (lane phones"
    )
    assert last == "1 passed, 0 failed"


def test_no_quarantine_is_for_what_is_wrong(project: Project, tmp_path: Path, lines: Lines) -> None:
    write_and_commit_long_ago(project, "tests/calls/test_two.py", WRONG)
    write_unsteady_file(project, "| 2026-11-30 | `tests/calls/test_two.py` | seldom |")
    assert not runs(project, tmp_path).run()
    *_, wrong, last = lines()
    assert wrong.startswith("wrong, alone too: ")
    assert last == "0 passed, 1 failed"


def test_a_run_prints_its_rows_for_the_tables(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", FAILS.format(times={0}))
    project.commit()
    assert runs(project, tmp_path).run()
    printed = lines()
    test = "`tests/calls/test_one.py` `test_late`"
    row = next(each for each in printed if each.endswith(" | not looked at yet |"))
    assert f" | {test} | TimeoutError: no RINGING in 10 s (lane phones, load " in row
    row = next(each for each in printed if each.endswith(" | green |"))
    minutes = r"\d+ \(phones \d+\)"
    assert re.fullmatch(rf"\| .{{16}} \| [0-9a-f]{{8}} \| {minutes} \| {test} \| green \|", row)
    (file := project.folder / RUNS_FILE).parent.mkdir(parents=True)
    file.write_text(row)
    (run,) = read_runs(project.folder).runs
    assert run.unsteady == {"tests/calls/test_one.py::test_late"}


def test_what_is_often_unsteady_is_mended_before_anything_runs(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", RIGHT)
    test = "`tests/calls/test_one.py` `test_right`"
    project.write("docs/testing/late.md", f"| 2026-11-30 | {test} | no RINGING | we |")
    run = f"| 2026-11-30 09:00 | 1234abcd | 30 (phones 12) | {test} | green |\n"
    project.write(RUNS_FILE, 2 * run)
    assert not runs(project, tmp_path).run()
    often = "tests/calls/test_one.py::test_right was unsteady in 2 of the last 10 runs"
    printed = lines()
    assert f"wrong: {often}: mend it first, or quarantine it" in printed
    assert not any("lane phones" in line for line in printed)


@pytest.mark.parametrize("times", [{0, 1}, {0, 3}])
def test_what_fails_once_more_alone_is_wrong(
    project: Project, tmp_path: Path, lines: Lines, times: set[int]
) -> None:
    project.write("tests/calls/test_one.py", FAILS.format(times=times))
    project.write("tests/calls/test_two.py", RIGHT)
    assert not runs(project, tmp_path).run()
    *_, wrong, last = lines()
    assert wrong.startswith("wrong, alone too: tests/calls/test_one.py::test_late (lane phones")
    assert wrong.endswith("; alone: TimeoutError: no RINGING in 10 s")
    assert last == "1 passed, 1 failed"


@pytest.mark.parametrize(
    "does",
    [
        "assert 'the caller of another' == 'the caller'",
        "raise ExceptionGroup('both', [TimeoutError(), ValueError()])",
        "try:\n        assert 1 == 2\n    finally:\n        raise TimeoutError('no BYE in 10 s')",
    ],
)
def test_a_value_in_a_new_test_is_red_at_once(
    project: Project, tmp_path: Path, lines: Lines, does: str
) -> None:
    project.write("tests/calls/test_one.py", CASES.format(number=1, does=does))
    assert not runs(project, tmp_path).run()
    printed = lines()
    assert not any("alone, 1 of 3" in line for line in printed)
    assert printed[-1] == "0 passed, 1 failed"


HANGS_ONCE = """
import pytest, time
from pathlib import Path

@pytest.mark.timeout(0.5)
def test_hangs():
    if not Path("hung").exists():
        Path("hung").touch()
        time.sleep(30)
"""


def test_who_runs_into_the_limit_of_a_test_was_unsteady(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", HANGS_ONCE)
    assert runs(project, tmp_path).run()
    assert "Timeout (>0.5s) from pytest-timeout" in lines()[-2]


def test_thirteen_of_one_file_can_be_unsteady(project: Project, tmp_path: Path) -> None:
    ran = "Path(f'ran{number}')"
    does = f"first = not {ran}.exists(); {ran}.touch()\n    if first: raise TimeoutError"
    cases = "from pathlib import Path\n" + CASES.format(number=13, does=does)
    project.write("tests/calls/test_one.py", cases)
    assert runs(project, tmp_path).run()


def test_failures_in_thirteen_files_are_wrong_and_six_run_again(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    for number in range(13):
        does = f"Path('ran{number}').open('a').write('x'); raise TimeoutError"
        cases = "from pathlib import Path\n" + CASES.format(number=1, does=does)
        project.write(f"tests/calls/test_{number}.py", cases)
    assert not runs(project, tmp_path).run()
    printed = lines()
    assert "wrong: tests of 13 files failed; at most 12 could be unsteady" in printed
    assert printed[-1] == "0 passed, 13 failed"
    again = [len((project.folder / f"ran{number}").read_text()) for number in range(13)]
    assert sorted(again) == [1] * 7 + [2] * 6


DRAWS = """
import random
from pathlib import Path
from hypothesis import given, settings, strategies
from tests.seeds import generator

drawn = []

@given(strategies.integers())
@settings(max_examples=20)
def draws(number):
    drawn.append(number)

def test_draws():
    drawn.clear()
    draws()
    drawn.extend([random.random(), generator("calls").random()])
    with Path("drawn").open("a") as file:
        file.write(f"{drawn}\\n")
"""


LATE_ONCE = """
    if Path("drawn").read_text().count("[") == 1:
        raise TimeoutError
"""


def test_a_repeated_test_draws_the_same_again(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")  # where hypothesis has a profile of its own
    project.write("tests/calls/test_one.py", DRAWS + LATE_ONCE)
    assert runs(project, tmp_path, lanes=(PHONES,)).run()
    drawn = (project.folder / "drawn").read_text().splitlines()
    assert len(drawn) == 4
    assert len(set(drawn)) == 1


def test_another_seed_draws_otherwise_and_another_commit_does_not(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.write("tests/calls/test_one.py", DRAWS)
    for number, seed in enumerate((None, None, SEED + 1)):
        project.write("README", str(number))
        project.commit()
        (folder := tmp_path / str(number)).mkdir()
        assert runs(project, folder, seed=seed).run()
    one, two, other = (project.folder / "drawn").read_text().splitlines()
    assert one == two
    assert set(one.strip("[]").split(", ")).isdisjoint(other.strip("[]").split(", ")[-2:])
    assert one.split(", ")[:-2] != other.split(", ")[:-2]


BESIDE = """
import os
import time
from pathlib import Path

def test_beside():
    Path("{own}").touch()
    deadline = time.monotonic() + 60
    while not Path("{other}").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the other lane does not run beside")
        time.sleep(0.05)
    assert os.sched_getscheduler(0) == os.SCHED_{policy}
"""


@pytest.mark.alone  # what computes has the idle class from the gate itself
def test_what_computes_runs_beside_others_in_the_idle_class(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    for file, own, other, policy in (
        ("rules/test_one.py", "computes", "telephones", "IDLE"),
        ("calls/test_two.py", "telephones", "computes", "OTHER"),
    ):
        source = BESIDE.format(own=own, other=other, policy=policy)
        project.write(f"tests/{file}", source)
    assert runs(project, tmp_path, lanes=(COMPUTE, TELEPHONING)).run()
    assert lines()[-1] == "2 passed, 0 failed"


def test_a_process_that_is_left_is_forgiven_nothing(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", LEAVES)
    gate = runs(project, tmp_path)
    assert not gate.run()
    fault, last = lines()[-2:]
    assert fault.startswith("wrong: phones: left a process running: ")
    assert fault.endswith("sleep 60")
    assert last == "1 passed, 0 failed"
    assert leftovers.running(f"{os.getpid()}-phones", tmp_path / "run") == {}


def test_a_left_process_beside_a_failure_is_red_at_once(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    late = LEAVES + "    raise TimeoutError('no RINGING')\n"
    project.write("tests/calls/test_one.py", late)
    assert not runs(project, tmp_path).run()
    *_, wrong, fault, last = lines()
    assert wrong.startswith("wrong, not run again: tests/calls/test_one.py")
    assert fault.startswith("wrong: phones: left a process running: ")
    assert last == "0 passed, 1 failed"


def test_a_process_is_found_though_its_title_hides_its_environment(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    hidden = LEAVES.replace('"60"]', '"60"], cwd=folder, env={}').replace(
        "process()", "process(tmp_path)"
    )
    project.write("tests/calls/test_one.py", hidden.replace("folder", "tmp_path"))
    assert not runs(project, tmp_path).run()
    assert lines()[-2].startswith("wrong: phones: left a process running: ")


def test_a_process_that_ends_within_its_grace_is_not_left(project: Project, tmp_path: Path) -> None:
    project.write("tests/calls/test_one.py", LEAVES.replace("60", "2"))
    assert runs(project, tmp_path, grace=30).run()


def test_a_lane_ends_when_nothing_in_it_passes(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    for file in range(13):
        cases = CASES.format(number=MOST_FAILURES // 10, does="raise TimeoutError")
        project.write(f"tests/calls/test_{file}.py", cases)
    assert not runs(project, tmp_path).run()
    printed = lines()
    assert any("alone, 1 of 3" in line for line in printed)
    assert printed[-2] == f"wrong: phones: {MOST_FAILURES} failed, the rest did not run"
    assert printed[-1] == f"0 passed, {MOST_FAILURES} failed"


def test_a_run_past_its_minutes_stops_itself(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/rules/test_one.py", WRONG)
    project.write("tests/calls/test_two.py", LEAVES + "    import time; time.sleep(600)\n")
    assert not runs(project, tmp_path, minutes=0.15, lanes=(COMPUTING, TELEPHONING)).run()
    printed = lines()
    assert "wrong: the run took more than 0.15 minutes" in printed
    assert printed[-1] == "0 passed, 1 failed"
    assert any(
        line.startswith("wrong, not run again: tests/rules/test_one.py::test_wrong")
        for line in printed
    )


def test_nothing_runs_when_the_checks_find_a_fault(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("scripts/check", "#!/bin/sh\nexit 1\n")
    project.write("tests/rules/test_one.py", RIGHT)
    assert not runs(project, tmp_path).run()
    assert lines()[-2:] == [
        "wrong: scripts/check found faults, see above; no test was run",
        "0 passed, 0 failed",
    ]


def test_a_file_that_cannot_be_collected_is_wrong(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", "import nothing_like_that\n")
    project.write("tests/calls/test_two.py", FAILS.format(times={0}))
    assert not runs(project, tmp_path).run()
    assert any("cannot collect tests/calls/test_one.py" in line for line in lines())


def test_a_process_of_tests_that_dies_is_red_at_once(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    dies = "import os\n" + FAILS.format(times={0}).replace("raise", "os._exit(1)\n        raise")
    project.write("tests/calls/test_one.py", dies)
    project.write("tests/calls/test_two.py", RIGHT)
    assert not runs(project, tmp_path, lanes=(PHONES,)).run()
    assert (project.folder / "failed").read_text() == "x"  # it did not run again
    *_, wrong, fault, last = lines()
    assert "crashed while running" in wrong
    assert fault == "wrong: red at once, its process died: tests/calls/test_one.py::test_late"
    assert last == "1 passed, 1 failed"


def test_tests_that_never_ran_are_wrong(project: Project, tmp_path: Path, lines: Lines) -> None:
    ends = "import os\n\ndef test_ends():\n    os._exit(0)\n"
    project.write("tests/calls/test_one.py", ends)
    assert not runs(project, tmp_path).run()
    fault = "wrong: phones: 1 chosen tests did not end, as tests/calls/test_one.py::test_ends"
    assert fault in lines()


def test_what_the_change_did_not_do_itself_runs_again(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    project.write("tests/calls/test_one.py", SHARES)
    assert runs(project, tmp_path).run()
    assert (project.folder / "torn").read_text() == "xxxx"
    assert "value in setup): AssertionError: a call is left" in lines()[-2]


LEAVES_A_LEASE = """
import pytest

leases = []

@pytest.fixture(scope="session")
def call_center():
    leases.clear()
    yield leases
    leases.clear()

@pytest.fixture
def empty(call_center):
    yield call_center
    assert call_center == [], "a lease is left"

def test_a_leaves_one(empty):
    {leaves}

@pytest.mark.parametrize("number", range(12))
def test_b(empty, number):
    assert empty == []
"""


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        ("empty.append(201)", "AssertionError: a lease is left"),
        ("empty.append(201); raise TimeoutError('not TALKING')", "TimeoutError: not TALKING"),
    ],
)
def test_what_a_failure_leaves_behind_fails_no_other(
    project: Project, tmp_path: Path, lines: Lines, leaves: str, message: str
) -> None:
    in_order = ("-p", "no:randomly")
    source = LEAVES_A_LEASE.format(leaves=leaves)
    write_and_commit_long_ago(project, "tests/calls/test_one.py", source)
    assert not runs(project, tmp_path, options=in_order).run()
    *_, wrong, last = lines()
    assert "test_a_leaves_one" in wrong
    assert message in wrong
    assert last == "12 passed, 1 failed"


LEFT_FOR_THE_NEXT = """
import pytest

leases = []

@pytest.fixture(scope="session")
def desk():
    return leases

@pytest.fixture
def empty(desk):
    assert desk == [], "a lease is left"

def test_a_leaves(empty):
    leases.append(201)

def test_b_elsewhere():
    pass

def test_c(empty):
    pass
"""


def test_a_dirty_start_names_who_left_it(project: Project, tmp_path: Path, lines: Lines) -> None:
    in_order = ("-p", "no:randomly")
    project.write("tests/calls/test_one.py", LEFT_FOR_THE_NEXT)
    assert runs(project, tmp_path, options=in_order).run()
    *_, unsteady, last = lines()
    assert "tests/calls/test_one.py::test_c (lane phones" in unsteady
    user = "(last used by tests/calls/test_one.py::test_a_leaves)"
    assert unsteady.endswith(f"value in setup): AssertionError: a lease is left {user}")
    assert last == "3 passed, 0 failed"


TAKEN_DOWN = """
import pytest

@pytest.fixture(scope="session")
def house():
    yield
    raise TimeoutError("the house")

@pytest.fixture
def room(house):
    yield
    raise ValueError("the room")

def test_it(room):
    pass

def test_other():
    pass
"""


def test_what_is_shared_hides_no_failure_of_a_test(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    in_order = ("-p", "no:randomly")
    project.write("tests/calls/test_one.py", TAKEN_DOWN)
    assert not runs(project, tmp_path, options=in_order).run()
    *_, wrong, last = lines()
    assert "value in teardown): ExceptionGroup: " in wrong
    both = "ValueError('the room'), and of what it shares with others TimeoutError('the house')"
    assert both in wrong
    assert last == "1 passed, 1 failed"


def test_of_two_failures_of_a_test_the_graver_counts(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    results.add_failure("test_it", "no RINGING in 10 s", FailureKind.LIMIT, "call")
    results.add_failure("test_it", "a call is left", FailureKind.VALUE, "teardown")

    failure = results.read().failures["test_it"]

    assert failure.message == "no RINGING in 10 s; in teardown: a call is left"
    assert failure.kind == FailureKind.VALUE
    assert failure.phase == "teardown"


def test_a_lane_without_tests_is_wrong(project: Project, tmp_path: Path, lines: Lines) -> None:
    project.write("tests/calls/test_one.py", RIGHT)
    assert not runs(project, tmp_path, lanes=(COMPUTING, TELEPHONING)).run()
    assert "wrong: lane compute has no test" in lines()


def test_a_run_of_no_test_is_wrong(project: Project, tmp_path: Path, lines: Lines) -> None:
    project.write("tests/rules/test_one.py", RIGHT)
    assert not runs(project, tmp_path, options=("-k", "nothing")).run()
    assert "wrong: no test was chosen: see what was asked for" in lines()


def test_what_is_slow_runs_and_quick_runs_leave_it_out(
    project: Project, tmp_path: Path, lines: Lines
) -> None:
    slow = CASES.format(number=3, does="pass") + "\npytestmark = pytest.mark.slow\n"
    project.write("tests/rules/test_one.py", slow)
    project.write("tests/rules/test_two.py", RIGHT)
    assert runs(project, tmp_path, lanes=(COMPUTING,)).run()
    assert lines()[-2:] == ["4 ran", "4 passed, 0 failed"]
    (quick := tmp_path / "quick").mkdir()
    assert runs(project, quick, quick=True, lanes=(COMPUTING,)).run()
    assert lines()[-2:] == ["1 ran, 3 others did not", "1 passed, 0 failed"]


@pytest.mark.parametrize(
    "drawing",
    [
        "import random\n",
        "from random import SystemRandom\n",
        "import numpy\n\nnumpy.random.default_rng()\n",
        "import secrets\n\nsecrets.SystemRandom()\n",
    ],
)
def test_the_checks_refuse_unseeded_random_numbers_in_tests(drawing: str) -> None:
    checking = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--stdin-filename",
        "tests/calls/test_x.py",
        "-",
    ]
    checked = subprocess.run(
        checking, input=drawing, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    assert "TID251" in checked.stdout


@pytest.mark.parametrize("lane", [COMPUTE, PHONES], ids=lambda lane: lane.name)
def test_a_killed_run_leaves_nothing(project: Project, tmp_path: Path, lane: Lane) -> None:
    folder = "rules" if lane is COMPUTE else "calls"
    hangs = LEAVES + "    import time; time.sleep(600)\n"
    project.write(f"tests/{folder}/test_one.py", hangs)
    command = [sys.executable, "-m", "tests.gate"]
    with subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL) as gate:
        run = f"{gate.pid}-{lane.name}"
        deadline = time.monotonic() + 60
        while not any(
            "sleep 60" in each for each in leftovers.running(run, tmp_path / "-").values()
        ):
            assert time.monotonic() < deadline, "the test did not begin"
            time.sleep(0.05)
        gate.terminate()
        assert gate.wait(60) == 130
    assert leftovers.running(run, tmp_path / "-") == {}
