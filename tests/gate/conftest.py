"""A small project with tests of its own, on which the gate can be run."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from callcenter.platform.core.settings import ROOT

SEED = 5  # another than in this clone's own tests/seed
CONFIGURATION = """
[pytest]
testpaths = tests
addopts = -p no:schemathesis
asyncio_default_fixture_loop_scope = function
markers =
    slow
    alone
"""


class Project:
    """A repository below `folder`: files are written and committed by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "--quiet", "--initial-branch=main")
        self.write("pytest.ini", CONFIGURATION)
        self.write("tests/seed", f"{SEED}\n")
        self.write("conftest.py", 'pytest_plugins = ["tests.gate.plugin"]\n')
        self.write("scripts/check", "#!/bin/sh\n")
        (folder / "scripts/check").chmod(0o755)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return file

    def commit(self, at: str = "2026-11-30 12:00 +0000", subject: str = "tests: change") -> None:
        """Commit everything; `at` is the time of the commit."""
        self._git("add", "--all")
        author = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
        self._git(*author, "commit", "--quiet", f"--message={subject}", committed_at=at)

    def push(self) -> None:
        """What is committed is main of origin from now on."""
        self._git("update-ref", "refs/remotes/origin/main", "HEAD")

    def switch(self, branch: str) -> None:
        """Go to this branch, a new one unless it is main."""
        self._git("switch", "--quiet", *(("--create",) if branch != "main" else ()), branch)

    def _git(self, *command: str, committed_at: str = "") -> None:
        environment = os.environ | {"GIT_COMMITTER_DATE": committed_at}
        subprocess.run(["git", *command], cwd=self.folder, env=environment, check=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # The gate's part inside of pytest is imported from this clone.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    (folder := tmp_path / "project").mkdir()
    return Project(folder)


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """The lines that were printed since it was called last."""
    return lambda: capfd.readouterr().out.splitlines()
