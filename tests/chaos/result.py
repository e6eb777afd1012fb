"""What a run of faults did, as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.load import Attempt

_ASTERISK = "asterisk_killed"  # what no software can keep: calls end


@dataclass
class Row:
    """What one fault did; times are of `time.monotonic()`."""

    fault: str
    began: float
    before: int = 0  #: conversations when it began
    after: int = 0  #: of them, those that went on when all was well again
    longest_gap: float = 0.0  #: seconds, in those, as the caller heard it
    stalled: float = 0.0  #: seconds for which the telephones themselves stood still meanwhile
    recovery: float = 0.0  #: seconds until a new caller was served and in the database
    ended: float = math.inf
    not_tried: str = ""
    appeals_missing: int = 0
    recordings_missing: int = 0  #: or with gaps

    @property
    def cut(self) -> bool:
        return self.after < self.before and self.fault != _ASTERISK

    def line(self) -> str:
        if self.not_tried:
            return f"{self.fault:<26}not tried: {self.not_tried}"
        return (
            f"{self.fault:<26}{self.before:>7}{self.after:>7}{self.longest_gap * 1000:>9.0f}"
            f"{self.stalled * 1000:>7.0f}"
            f"{self.appeals_missing:>9}{self.recordings_missing:>12}{self.recovery:>13.1f}"
        )


HEAD = (
    f"{'fault':<26}{'before':>7}{'after':>7}{'gap, ms':>9}{'ours':>7}{'appeals':>9}"
    f"{'recordings':>12}{'recovery, s':>13}"
)


@dataclass
class Result:
    """Of a whole run. Callers are told by their made-up numbers."""

    rows: list[Row]
    attempts: Sequence[Attempt]
    without_appeal: list[str] = field(default_factory=list)
    without_recording: list[str] = field(default_factory=list)
    with_gaps: list[str] = field(default_factory=list)
    mended: int = 0  #: differences between register and switch that were put right
    differences: list[str] = field(default_factory=list)  #: that are left
    stories: list[str] = field(default_factory=list)  #: of what is missing, by the register

    @property
    def lost(self) -> bool:
        """Whether anything was lost that could have been kept."""
        missing = (self.without_appeal, self.without_recording, self.with_gaps, self.differences)
        return any(row.cut for row in self.rows) or any(missing)

    @property
    def conversations(self) -> int:
        return sum(attempt.talked for attempt in self.attempts)

    def blame(self) -> None:
        """Count what is missing with the faults during which those callers were there."""
        unkept = {*self.without_recording, *self.with_gaps}
        for attempt in self.attempts:
            for row in self.rows:
                if attempt.began < row.ended and attempt.ended > row.began:
                    row.appeals_missing += attempt.number in self.without_appeal
                    row.recordings_missing += attempt.number in unkept

    def table(self) -> str:
        """For people."""
        unanswered = sum(not attempt.answered for attempt in self.attempts)
        return "\n".join(
            [
                "conversations before and after; the longest gap that was heard, and how long the "
                "telephones of this run stood still themselves; appeals missing; recordings "
                "missing or with gaps:",
                HEAD,
                *(row.line() for row in self.rows),
                f"{len(self.attempts)} callers, {unanswered} not answered, "
                f"{self.conversations} conversations",
                f"appeals missing: {len(self.without_appeal)}, recordings missing: "
                f"{len(self.without_recording)}, with gaps: {len(self.with_gaps)}",
                f"the ledger of the switch: {self.mended} differences mended, "
                f"{len(self.differences)} left",
                *self.differences,
                *self.stories,
            ]
        )
