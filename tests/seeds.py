"""The seed of a test run, and the one place where tests get random numbers from.

The seed is a hash of the commit's files. So a commit always draws the same: which slow tests run,
the order of all, the examples of hypothesis, storms and faults. It stands in the environment of
whatever the tests start. ruff refuses any other source of random numbers in tests (TID251).
"""

import os
import secrets
import subprocess
from hashlib import sha256
from pathlib import Path
from random import Random

from numpy.random import Generator, default_rng

VARIABLE = "TEST_SEED"
UNTESTED = "docs/testing/late.md"  # changes after a run without anything to test again
NO_COMMIT = 111  # the seed outside a repository
SEEDS = 2**32


class NoRepositoryError(Exception):
    """There is no git, or nothing like what it was asked for."""


class SeededRandom(Random):
    """A generator that cannot be made without a seed."""

    def __init__(self, seed: int | str) -> None:
        super().__init__(seed)


def git(repository: Path, *command: str) -> str:
    """What git prints, whoever owns the repository. Raises NoRepositoryError."""
    program = ("git", "-c", "safe.directory=*", *command)
    try:
        run = subprocess.run(program, cwd=repository, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise NoRepositoryError(f"git {' '.join(command)} failed in {repository}") from exc
    return run.stdout


def tree_seed(repository: Path) -> int:
    """The seed of the commit that is checked out there."""
    try:
        files = git(repository, "ls-tree", "-r", "-z", "HEAD").split("\0")
    except NoRepositoryError:
        return NO_COMMIT
    return hashed("\0".join(file for file in files if not file.endswith(f"\t{UNTESTED}")))


def fresh_seed() -> int:
    """A seed by chance, for commands that hunt for races."""
    return secrets.randbelow(SEEDS)


def run_seed() -> int:
    """The seed of this test run. Raises KeyError outside of one."""
    return int(os.environ[VARIABLE])


def generator(name: str) -> SeededRandom:
    """A generator of this run; its name keeps it apart from the others. Raises KeyError."""
    return SeededRandom(f"{run_seed()} {name}")


def numpy_generator(seed: int) -> Generator:
    """A generator of noise, the same in every run."""
    return default_rng(seed)


def hashed(text: str) -> int:
    """A number below SEEDS that differs with the text, in the same way in every process."""
    return int.from_bytes(sha256(text.encode()).digest()[:4])
