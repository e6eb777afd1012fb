"""`scripts/check_commits`: what a commit must say and may hold."""

import shutil
import subprocess

import pytest

from callcenter.platform.core.settings import ROOT
from tests.gate.conftest import Project


def check(project: Project) -> subprocess.CompletedProcess[str]:
    script = project.folder / "scripts" / "check_commits"
    return subprocess.run([script], capture_output=True, text=True, check=False)


@pytest.fixture
def pushed(project: Project) -> Project:
    shutil.copy(ROOT / "scripts" / "check_commits", project.folder / "scripts")
    project.commit()
    project.push()
    return project


def test_a_seed_changes_in_a_commit_of_its_own(pushed: Project) -> None:
    pushed.write("tests/seed", "8\n")
    pushed.commit()
    assert check(pushed).returncode == 0
    pushed.write("tests/seed", "9\n")
    pushed.write("README", "and more")
    pushed.commit()
    refused = check(pushed)
    assert refused.returncode == 1
    assert "a seed changes in a commit of its own" in refused.stderr


@pytest.mark.parametrize("subject", ["Change it", "tests: Change it", f"tests: {'x' * 66}"])
def test_a_subject_says_area_and_imperative_shortly(pushed: Project, subject: str) -> None:
    pushed.write("README", "more")
    pushed.commit(subject=subject)
    refused = check(pushed)
    assert refused.returncode == 1
    assert subject in refused.stderr
