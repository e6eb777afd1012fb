"""`make calendar`: tests run with the clock that is wanted, and what fails then is kept."""

import subprocess
import sys

from tests.clock import real_time
from tests.gate.conftest import Project
from tests.gate.soak import FILE

TELL_THE_TIME = """
import subprocess
import sys
from datetime import UTC, datetime

NOW = "from datetime import UTC, datetime; print(datetime.now(UTC))"

def test_the_clock_is_set():
    assert f"{datetime.now(UTC):%F %H}" == "2028-02-29 23"

def test_so_is_that_of_a_program():
    run = subprocess.run([sys.executable, "-c", NOW], capture_output=True, text=True)
    assert run.stdout.startswith("2028-02-29 23:")

def test_a_year_lasts():
    assert datetime.now(UTC).year != 2028
"""


def test_what_another_clock_breaks_is_found(project: Project) -> None:
    project.write(str(FILE), "")
    project.write("tests/rules/test_one.py", TELL_THE_TIME)
    command = [sys.executable, "-m", "tests.gate.calendar", "--at", "2028-02-29 23:20:00"]
    # It may run under such a clock itself.
    found = subprocess.run(
        command,
        cwd=project.folder,
        env=real_time(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    assert found.stdout.splitlines()[-1] == "1 clocks, 1 found"
    (row,) = (project.folder / FILE).read_text().splitlines()
    assert " | 2028-02-29 23:20:00 | `tests/rules/test_one.py::test_a_year_lasts` | fails |" in row
