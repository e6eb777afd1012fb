"""Where the random numbers of tests come from."""

import subprocess
import sys

import pytest

from tests.gate.conftest import Project
from tests.seeds import SeededRandom


def test_a_generator_needs_a_seed() -> None:
    with pytest.raises(TypeError):
        SeededRandom()  # type: ignore[call-arg]


@pytest.mark.parametrize("command", ["pytest", "tests.gate"])
def test_a_file_without_a_seed_is_named(project: Project, command: str) -> None:
    project.write("tests/seed", "<<<<<<< HEAD\n7\n")
    program = [sys.executable, "-m", command, "tests/calls"]
    refused = subprocess.run(
        program, cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert "tests/seed holds no number: git checkout main -- tests/seed" in refused.stderr
    assert "Traceback" not in refused.stderr
