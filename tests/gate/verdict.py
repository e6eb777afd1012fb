"""What a run of the gate says of the commit."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.gate.lanes import Lane
from tests.gate.results import Failure

AGAIN = 3  # times that what failed must pass alone to count as late


@dataclass(frozen=True)
class LaneFailure:
    lane: Lane
    failure: Failure

    @property
    def may_be_late(self) -> bool:
        return self.lane.may_be_late and self.failure.may_be_late

    def __str__(self) -> str:
        of = self.failure
        return f"{of.test} (lane {self.lane.name}, load {of.load:.1f}): {of.message}"


@dataclass
class Verdict:
    passed: int = 0
    skipped: int = 0
    left_out: int = 0  # tests that were not chosen
    left_out_are: str = "slow"  # what they are called
    failures: list[LaneFailure] = field(default_factory=list)  # not judged yet
    wrong: list[LaneFailure] = field(default_factory=list)
    late: list[LaneFailure] = field(default_factory=list)
    quarantined: list[LaneFailure] = field(default_factory=list)  # late, and not asked again
    quarantines: list[str] = field(default_factory=list)  # in words, those to be mended first
    faults: list[str] = field(default_factory=list)  # that no test stands for

    @property
    def is_green(self) -> bool:
        return not (self.failures or self.wrong or self.faults)

    def lines(self) -> Iterator[str]:
        """The last lines of a run. What was not judged counts as wrong."""
        wrong = [*self.wrong, *self.failures]
        late = len(self.late) + len(self.quarantined)
        ran = self.passed + len(wrong) + late
        yield f"{ran} ran, {self.left_out} {self.left_out_are} did not (--all runs them)"
        for each in self.late:
            yield f"late, passed {AGAIN} of {AGAIN} alone: {each}"
        for quarantine in self.quarantines:
            yield f"quarantined: {quarantine}"
        for each in self.quarantined:
            yield f"late, in quarantine: {each}"
        for each in wrong:
            yield f"wrong: {each}"
        for fault in self.faults:
            yield f"wrong: {fault}"
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        yield f"{self.passed + late} passed, {len(wrong)} failed{skipped}"
