"""What pytest found in a lane, as its plugin writes it down and the gate reads it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

from tests.gate.times import PhaseTime

MOST_FAILURES = 100  # of a lane, which ends then: each may have waited for what cannot start


class FailureKind(IntEnum):
    """With what a test failed, the gravest last."""

    LIMIT = 1  # nothing but a limit that ran out
    VALUE = 2
    FINAL = 3  # running the test again says nothing of it: its process died


@dataclass(frozen=True)
class Failure:
    test: str
    message: str
    load: float  # of the machine in that minute
    kind: FailureKind
    phase: str  # setup, call or teardown, as pytest names them

    @property
    def file(self) -> str:
        return self.test.split("::")[0]

    def joined_with(self, later: "Failure") -> "Failure":
        """Both of one test: of the kind of the graver, with what each says."""
        graver = max(self, later, key=lambda each: each.kind)
        return replace(graver, message=f"{self.message}; in {later.phase}: {later.message}")

    @property
    def is_value_of_test(self) -> bool:
        """Whether it, or a check of what it left, found it, and nothing that sets it up."""
        return self.kind == FailureKind.VALUE and self.phase != "setup"


@dataclass
class LaneResult:
    chosen: set[str] = field(default_factory=set)
    left_out: int = 0  # tests of the lane that were not chosen
    passed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # that no test stands for
    times: list[PhaseTime] = field(default_factory=list)  # where they were asked for

    @property
    def missing(self) -> set[str]:
        """Tests that were chosen and of which nothing came."""
        return self.chosen - self.passed - self.skipped - self.failures.keys()

    @property
    def is_cut(self) -> bool:
        """Whether so many failed that the others did not run."""
        return bool(self.missing) and len(self.failures) >= MOST_FAILURES


class ResultFolder:
    """A folder in which the processes of pytest leave what came of their tests."""

    def __init__(self, folder: Path) -> None:
        self._outcomes = folder / "outcomes"
        self._choice = folder / "choice"

    def add_choice(self, chosen: Sequence[str], left_out: int) -> None:
        """What a lane runs, and how many it does not. All processes of a lane say the same."""
        new = self._choice.with_name(f"choice-{os.getpid()}")
        new.write_text(json.dumps({"chosen": chosen, "left_out": left_out}))
        new.rename(self._choice)

    def add_outcome(self, test: str, outcome: str) -> None:
        """A test has `passed` or was `skipped`."""
        self._add({"test": test, "outcome": outcome})

    def add_failure(self, test: str, message: str, kind: FailureKind, phase: str) -> None:
        load = os.getloadavg()[0]
        details = {"message": message, "load": load, "kind": kind, "phase": phase}
        self._add({"test": test, "outcome": "failed", **details})

    def add_fault(self, message: str) -> None:
        """Something failed that no test stands for."""
        self._add({"outcome": "fault", "message": message})

    def add_time(self, time: PhaseTime) -> None:
        self._add({"outcome": "time", **time._asdict()})

    def read(self) -> LaneResult:
        result = LaneResult()
        if self._choice.exists():
            choice = json.loads(self._choice.read_text())
            result.chosen, result.left_out = set(choice["chosen"]), choice["left_out"]
        lines = self._outcomes.read_text().splitlines() if self._outcomes.exists() else ()
        for entry in map(json.loads, lines):
            outcome = entry.pop("outcome")
            if outcome == "failed":
                failure = Failure(**entry | {"kind": FailureKind(entry["kind"])})
                if first := result.failures.get(failure.test):
                    failure = first.joined_with(failure)
                result.failures[failure.test] = failure
            elif outcome == "fault":
                result.faults.append(entry["message"])
            elif outcome == "time":
                result.times.append(PhaseTime(**entry))
            else:
                (result.passed if outcome == "passed" else result.skipped).add(entry["test"])
        result.passed -= result.failures.keys()
        return result

    def _add(self, entry: dict[str, object]) -> None:
        with self._outcomes.open("a") as file:
            file.write(json.dumps(entry) + "\n")
