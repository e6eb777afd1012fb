"""What a run of the gate says of the commit."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.gate.lanes import Lane
from tests.gate.results import Failure

AGAIN = 3  # times that what failed must pass alone to count as unsteady


@dataclass(frozen=True)
class LaneFailure:
    lane: Lane
    failure: Failure
    alone: str | None = None  # what it failed with when it ran again alone

    @property
    def circumstances(self) -> str:
        of = self.failure
        phase = f" in {of.phase}" if of.phase in ("setup", "teardown") else ""
        return f"lane {self.lane.name}, load {of.load:.1f}, {of.kind.name.lower()}{phase}"

    def __str__(self) -> str:
        return f"{self.failure.test} ({self.circumstances}): {self.failure.message}"


@dataclass
class Verdict:
    passed: int = 0
    skipped: int = 0
    left_out: int = 0  # tests that were not chosen
    failures: list[LaneFailure] = field(default_factory=list)  # not judged yet
    wrong: list[LaneFailure] = field(default_factory=list)
    unsteady: list[LaneFailure] = field(default_factory=list)
    quarantined: list[LaneFailure] = field(default_factory=list)  # a limit, and not asked again
    quarantines: list[str] = field(default_factory=list)  # in words, those to be mended first
    faults: list[str] = field(default_factory=list)  # that no test stands for
    cut: list[str] = field(default_factory=list)  # lanes that ended before all had run, in words

    @property
    def is_green(self) -> bool:
        return not (self.failures or self.wrong or self.faults or self.cut)

    @property
    def ran(self) -> int:
        unsteady = len(self.unsteady) + len(self.quarantined)
        return self.passed + len(self.wrong) + len(self.failures) + unsteady

    def lines(self) -> Iterator[str]:
        """The last lines of a run. What was not judged counts as wrong."""
        wrong = [*self.wrong, *self.failures]
        yield f"{self.ran} ran" + (f", {self.left_out} others did not" if self.left_out else "")
        for each in self.unsteady:
            yield f"unsteady, passed {AGAIN} of {AGAIN} alone: {each}"
        for quarantine in self.quarantines:
            yield f"quarantined: {quarantine}"
        for each in self.quarantined:
            yield f"unsteady, in quarantine: {each}"
        for each in wrong:
            if each.alone is None:
                yield f"wrong, not run again: {each}"
            else:
                yield f"wrong, alone too: {each}; alone: {each.alone}"
        for fault in (*self.faults, *self.cut):
            yield f"wrong: {fault}"
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        yield f"{self.ran - len(wrong)} passed, {len(wrong)} failed{skipped}"
