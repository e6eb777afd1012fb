"""What pytest found in a lane, as its plugin writes it down and the gate reads it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Failure:
    test: str
    message: str
    load: float  # of the machine in that minute


@dataclass
class LaneResult:
    passed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)  # the first of each test

    @property
    def ran(self) -> int:
        return len(self.passed | self.failures.keys())


class ResultFolder:
    """A folder in which the processes of pytest leave what came of their tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outcomes = folder / "outcomes"
        self._left_out = folder / "left-out"

    def add(self, test: str, outcome: str, message: str = "") -> None:
        """One outcome of a step of a test: `passed`, `failed` or `skipped`."""
        load = os.getloadavg()[0]
        line = {"test": test, "outcome": outcome, "message": message, "load": load}
        with self._outcomes.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def say_left_out(self, count: int) -> None:
        """How many slow tests this lane left out. All processes of a lane say the same."""
        self._left_out.write_text(str(count))

    def left_out(self) -> int:
        return int(self._left_out.read_text()) if self._left_out.exists() else 0

    def read(self) -> LaneResult:
        result = LaneResult()
        for test, outcome, failure in self._lines():
            if outcome == "failed":
                result.failures.setdefault(test, failure)
            elif outcome == "skipped":
                result.skipped.add(test)
            else:
                result.passed.add(test)
        result.passed -= result.failures.keys()
        return result

    def _lines(self) -> Iterator[tuple[str, str, Failure]]:
        if not self._outcomes.exists():
            return
        for line in self._outcomes.read_text().splitlines():
            entry = json.loads(line)
            yield (
                entry["test"],
                entry["outcome"],
                Failure(entry["test"], entry["message"], entry["load"]),
            )
