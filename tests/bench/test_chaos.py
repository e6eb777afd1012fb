"""A run of faults fails when one of them lost something, or met too little to show anything."""

import subprocess
import sys

import pytest

from callcenter.platform.core.settings import ROOT
from tests.chaos.result import Result, Row


@pytest.mark.parametrize(
    ("before", "after", "missing", "is_lost"),
    [(30, 30, 0.0, False), (29, 29, 0.0, True), (30, 29, 0.0, True), (30, 30, 0.2, True)],
)
def test_a_fault_shows_thirty_conversations_that_go_on(
    before: int, after: int, missing: float, is_lost: bool
) -> None:
    row = Row("controller_killed", 0.0, 30, before, after, missing=missing)
    assert Result([row], []).lost is is_lost


def test_a_fault_that_was_not_tried_is_named() -> None:
    rows = [Row("network_cut", 0.0, not_tried="no network here"), Row("overload", 0.0)]
    assert Result(rows, []).not_tried == ["network_cut"]


def test_a_tool_without_pytest_has_a_server_of_the_tests() -> None:
    program = "from tests import postgres; print(postgres._fingerprint())"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, len(ran.stdout.split())) == (0, 1), ran.stderr
