"""What a run of faults did, as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.load import Attempt

_ASTERISK = "asterisk_killed"  # what no software can keep: calls end
GAP = 0.1  # seconds


@dataclass
class Row:
    """What one fault did; times are of `time.monotonic()`."""

    fault: str
    began: float
    expected: int = 1  #: conversations that it was to meet
    before: int = 0  #: conversations when it began
    after: int = 0  #: of them, those that went on when all was well again
    longest_gap: float = 0.0  #: seconds, in those, as either side heard it: late is a gap, too
    missing: float = 0.0  #: seconds of the other side's sound that never came, at one place
    stalled: float = 0.0  #: seconds for which the telephones themselves stood still meanwhile
    recovery: float = 0.0  #: seconds until a new caller was served and in the database
    ended: float = math.inf
    not_tried: str = ""
    appeals_missing: int = 0
    recordings_missing: int = 0  #: or with gaps
    callers_lost: int = 0

    @property
    def ends_calls(self) -> bool:
        return self.fault == _ASTERISK

    @property
    def broke(self) -> str:
        """What is wrong with it, in words; empty when nothing is."""
        if self.not_tried:
            return ""
        if self.before < self.expected:
            return f"met {self.before} conversations of {self.expected}: it shows too little"
        if self.ends_calls:
            return ""
        if self.after < self.before:
            return f"cut {self.before - self.after} conversations"
        if self.missing >= GAP:
            return f"{self.missing * 1000:.0f} ms of a conversation never came"
        return ""

    def line(self) -> str:
        if self.not_tried:
            return f"{self.fault:<26}not tried: {self.not_tried}"
        return (
            f"{self.fault:<26}{self.before:>7}{self.after:>7}{self.longest_gap * 1000:>9.0f}"
            f"{self.stalled * 1000:>7.0f}"
            f"{self.callers_lost:>9}{self.appeals_missing:>9}{self.recordings_missing:>12}"
            f"{self.recovery:>13.1f}"
        )


HEAD = (
    f"{'fault':<26}{'before':>7}{'after':>7}{'gap, ms':>9}{'ours':>7}{'callers':>9}"
    f"{'appeals':>9}{'recordings':>12}{'recovery, s':>13}"
)


@dataclass
class Result:
    """Of a whole run. Callers are told by their made-up numbers."""

    rows: list[Row]
    attempts: Sequence[Attempt]
    #: Not answered, or cut off and not by their own will, though Asterisk lived.
    callers_lost: list[str] = field(default_factory=list)
    without_appeal: list[str] = field(default_factory=list)
    without_recording: list[str] = field(default_factory=list)
    with_gaps: list[str] = field(default_factory=list)
    mended: int = 0  #: differences between register and switch that were put right
    differences: list[str] = field(default_factory=list)  #: that are left
    stories: list[str] = field(default_factory=list)  #: of what is missing, by the register

    @property
    def lost(self) -> bool:
        """Whether anything was lost that could have been kept, or a fault showed nothing."""
        missing = (self.without_appeal, self.without_recording, self.with_gaps, self.differences)
        return any(row.broke for row in self.rows) or any(missing) or bool(self.callers_lost)

    @property
    def not_tried(self) -> list[str]:
        """Faults that could not be injected here, so that nothing is known of them."""
        return [row.fault for row in self.rows if row.not_tried]

    def died_under(self, attempt: Attempt) -> bool:
        """Whether Asterisk did, or was away when this caller came."""
        return any(row.ends_calls and attempt.was_there(row.began, row.ended) for row in self.rows)

    @property
    def conversations(self) -> int:
        return sum(attempt.talked for attempt in self.attempts)

    def blame(self) -> None:
        """Count what is missing with the faults during which those callers were there."""
        unkept = {*self.without_recording, *self.with_gaps}
        for attempt in self.attempts:
            for row in self.rows:
                if attempt.was_there(row.began, row.ended):
                    row.callers_lost += attempt.number in self.callers_lost
                    row.appeals_missing += attempt.number in self.without_appeal
                    row.recordings_missing += attempt.number in unkept

    def table(self) -> str:
        """For people."""
        unanswered = sum(not attempt.answered for attempt in self.attempts)
        return "\n".join(
            [
                "conversations before and after; the longest gap that was heard, and how long the "
                "telephones of this run stood still themselves; callers lost; appeals missing; "
                "recordings missing or with gaps:",
                HEAD,
                *(row.line() for row in self.rows),
                *(f"{row.fault}: {row.broke}" for row in self.rows if row.broke),
                f"{len(self.attempts)} callers, {unanswered} not answered, "
                f"{self.conversations} conversations",
                f"callers lost: {len(self.callers_lost)}, appeals missing: "
                f"{len(self.without_appeal)}, recordings missing: "
                f"{len(self.without_recording)}, with gaps: {len(self.with_gaps)}",
                f"the CEL log: {self.mended} differences mended, {len(self.differences)} left",
                *self.differences,
                *self.stories,
            ]
        )
