"""Versions of the product from commits, to run beside the one under test: `--upgrade-from`."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from callcenter.platform.core.settings import ROOT
from tests.services import CALLCENTER

#: Commands that have another name in versions before, by their names now.
FORMER = {"controller": "line", "api-clients": "machines"}
GIT = ("git", "-C", str(ROOT))


@dataclass(frozen=True)
class Version:
    """What starts the `callcenter` command of a version, and what its environment has besides."""

    program: Sequence[str]
    also: Mapping[str, str] = field(default_factory=dict)


NEWER = Version(CALLCENTER)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--upgrade-from", help="a commit: its version is replaced by this one, tests/calls"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--upgrade-from") is not None:
        commit_of(config.getoption("--upgrade-from"))


@pytest.fixture(scope="session")
def older(request: pytest.FixtureRequest) -> Iterator[Version]:
    """The version to upgrade from: the one under test, unless a commit was named."""
    commit = request.config.getoption("--upgrade-from")
    if commit is None:
        yield NEWER
    else:
        with checked_out(commit) as version:
            yield version


def commit_of(name: str) -> str:
    """The full hash of a commit. Raises UsageError when this clone has none of this name."""
    requested = (*GIT, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    found = subprocess.run(requested, capture_output=True, text=True)
    if found.returncode != 0:
        raise pytest.UsageError(
            f"--upgrade-from: git has no commit {name!r} in {ROOT}: a shallow clone has no history"
        )
    return found.stdout.strip()


@contextmanager
def checked_out(name: str) -> Iterator[Version]:
    """The version of a commit, in a worktree that exists within the block. Raises UsageError.

    It runs with the libraries of this environment. Its `pyproject.toml` says what starts it, so it
    does not matter what its modules are called.
    """
    commit = commit_of(name)
    with TemporaryDirectory(prefix="cc-version-") as folder:
        tree = Path(folder) / commit[:12]
        subprocess.run((*GIT, "worktree", "add", "--quiet", "--detach", tree, commit), check=True)
        try:
            yield _version_in(tree)
        finally:
            subprocess.run((*GIT, "worktree", "remove", "--force", tree), check=True)


def _version_in(tree: Path) -> Version:
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["callcenter"].partition(":")
    environment = {"PYTHONPATH": str(tree)}
    # -P: nothing of the folder that we are in. PYTHONPATH comes before what is installed.
    python = (sys.executable, "-P", "-c")
    program = (
        f"import sys, {module} as it; assert it.__file__.startswith({str(tree)!r}), it.__file__; "
        "sys.argv[1:2] = [{former}.get(each, each) for each in sys.argv[1:2]]; "
        f"it.{function}()"
    )
    requested = (*python, program.format(former={}), "--help")
    reported = subprocess.run(
        requested, env=os.environ | environment, capture_output=True, text=True
    )
    assert reported.returncode == 0, reported.stderr
    former = {now: then for now, then in FORMER.items() if f"\n  {now} " not in reported.stdout}
    return Version((*python, program.format(former=former)), environment)
