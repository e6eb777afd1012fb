"""The seed of a test run, and the one place where tests get random numbers from.

The seed stands in `tests/seed`, and changes only in a commit of its own: so no change draws another
order, other examples of hypothesis, storms or faults than main, and pays for what they find.
`make soak` looks for that with fresh seeds. The seed of a run stands in the environment of whatever
its tests start. ruff refuses any other source of random numbers in tests (TID251).
"""

import os
import secrets
from pathlib import Path
from random import Random

from numpy.random import Generator, default_rng

VARIABLE = "TEST_SEED"
FILE = "tests/seed"
SEEDS = 2**32


class SeedError(Exception):
    """The file of the seed is missing, or holds something else."""


class SeededRandom(Random):
    """A generator that cannot be made without a seed."""

    def __init__(self, seed: int | str) -> None:
        super().__init__(seed)


def fixed_seed(repository: Path) -> int:
    """The seed of every run that is not told another. Raises SeedError."""
    try:
        return int((repository / FILE).read_text())
    except (OSError, ValueError) as exc:
        raise SeedError(f"{FILE} holds no number: git checkout main -- {FILE}") from exc


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
