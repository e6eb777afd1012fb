"""The figures of a run: computed from facts, kept as JSON, summed up over rounds, shown."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from callcenter.platform.core.errors import InvalidRequest
from tests.bench.facts import Fact

ANSWER_LIMIT, RING_LIMIT = 50.0, 100.0  # milliseconds that the 95th percentile must not exceed
OFF = 100.0  # milliseconds by which a recording may differ from its conversation
FORMAT = 2  # of the JSON files


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds; not a number where there was nothing to measure."""

    p50: float
    p95: float
    p99: float
    worst: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread":
        existing = sorted(value for value in values if value is not None)
        return cls(*(percentile(existing, share) for share in (50, 95, 99, 100)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one side."""

    side: str
    kind: str
    rate: float  #: new calls a second
    talk: float  #: seconds from the second key to the hang-up
    calls: int
    faults: dict[str, int]
    answer: Spread  #: INVITE to 200 OK
    ring: Spread  #: key to the consultant's INVITE
    cpu: dict[str, float]  #: milliseconds a call, by process, above what it uses when idle
    generator: float  #: the same of the generator itself
    memory: dict[str, float]  #: bytes, by process, at the end
    recorded: int  #: bytes of recordings kept
    missing: int  #: recordings
    off: int  #: recordings whose length differs from the conversation by over `OFF`
    short: int  #: of these, the ones that lack so much of it
    difference: Spread  #: between the lengths of conversation and recording
    more: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(self.faults.values())

    @property
    def holds(self) -> bool:
        """No failed call, and both latencies within their limits."""
        return not self.failed and self.answer.p95 <= ANSWER_LIMIT and self.ring.p95 <= RING_LIMIT

    @property
    def total_cpu(self) -> float:
        """Milliseconds a call of all processes of the side."""
        return sum(self.cpu.values())


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` per cent of the ordered values do not exceed."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Recordings:
    """What was kept of the conversations of calls without a fault."""

    bytes: int
    missing: int
    off: int  #: of another length by over `OFF`
    short: int  #: of these, the ones that lack so much

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> "Recordings":
        """The bytes are of all calls."""
        lacks = [fact.short for fact in facts if fact.fault is None]
        existing = [lack for lack in lacks if lack is not None]
        return cls(
            bytes=sum(fact.size for fact in facts),
            missing=len(lacks) - len(existing),
            off=sum(abs(lack) > OFF for lack in existing),
            short=sum(lack > OFF for lack in existing),
        )


def faults(facts: Sequence[Fact]) -> dict[str, int]:
    """How often each fault came."""
    return dict(Counter(fact.fault for fact in facts if fact.fault is not None))


def merged(values: Mapping[str, float]) -> dict[str, float]:
    """By kind of process: `line-1` and `line-2` are both `line`."""
    sums: Counter[str] = Counter()
    for name, value in values.items():
        sums[name.partition("-")[0]] += value  # type: ignore[assignment]  # sums of floats too
    return dict(sums)


# Files


def save(path: Path, about: Mapping[str, str], samples: Sequence[Sample]) -> None:
    """Write what was measured so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "about": dict(about),
        "samples": [asdict(sample) for sample in samples],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[dict[str, str], list[Sample]]:
    """What `save` wrote. Raises InvalidRequest for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InvalidRequest(f"{path} is of format {content['format']}, not {FORMAT}")
        return dict(content["about"]), [_sample(each) for each in content["samples"]]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InvalidRequest(f"{path} holds no results of the benchmark: {exc!r}") from exc


def _sample(fields: dict[str, Any]) -> Sample:
    spreads = {name: Spread(**fields[name]) for name in ("answer", "ring", "difference")}
    return Sample(**(fields | spreads))


# Summing up


@dataclass(frozen=True, slots=True)
class Middle:
    """A figure over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Middle":
        every = [value for value in values if not math.isnan(value)]
        if not every:
            return cls(math.nan, math.nan, math.nan)
        return cls(statistics.median(every), min(every), max(every))

    def text(self, digits: int = 1) -> str:
        """As in `4.1 (3.9-4.6)`."""
        if math.isnan(self.median):
            return "-"
        if self.least == self.most:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"


def of_kind(samples: Iterable[Sample], side: str, kind: str, rate: float) -> list[Sample]:
    return [
        sample
        for sample in samples
        if sample.side == side and sample.kind == kind and sample.rate == rate
    ]


def highest_rates(samples: Sequence[Sample], side: str) -> list[float]:
    """The highest rate that held in each round, nought where none did, in the order of rounds."""
    best: dict[float, float] = {}
    for sample in samples:
        if sample.side == side and sample.kind == "hold":
            number = sample.more["round"]
            best[number] = max(best.get(number, 0.0), sample.rate if sample.holds else 0.0)
    return [best[number] for number in sorted(best)]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, the first row being their heads."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
