"""Where the time of a run goes: seconds of waiting and of processor, by folder and by test."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

VARIABLE = "TEST_PROCESS"  # whatever a process of pytest starts inherits it, and is found by it
DEAREST = 50  # tests that are named
_PHASES = ("setup", "call", "teardown")
_FOLDERS = "-- where the time went, in seconds; processor counts what the tests started, too"
_NOTE = "   waiting: wall without processor; what tests share is in the setup of the first of them"
_TESTS = f"-- the {DEAREST} dearest tests"
_TICKS = os.sysconf("SC_CLK_TCK")  # a second


class PhaseTime(NamedTuple):
    """Seconds of one phase of a test, as pytest names it."""

    test: str
    phase: str
    wall: float
    processor: float  # more than wall where several work at once

    @property
    def waiting(self) -> float:
        """For something, or for a core that others had."""
        return max(0.0, self.wall - self.processor)


def describe(times: Sequence[PhaseTime]) -> Iterator[str]:
    """The lines that a run prints: the folders, then the dearest tests."""
    yield from (_FOLDERS, _NOTE)
    names = ("wall", "waiting", "processor")
    phases = [cell for phase in _PHASES for cell in (phase, "")]
    rows = [["", "", "", "", *phases, ""], ["tests", *names, *names[1:] * len(_PHASES), "folder"]]
    for folder, group in (*_group(times, _folder_of), ("total", times)):
        count = len({each.test for each in group})
        rows.append([str(count), *_sum_up(group)])
        for phase in _PHASES:
            rows[-1] += _sum_up([each for each in group if each.phase == phase])[1:]
        rows[-1].append(folder)
    yield from _align(rows)
    yield _TESTS
    dearest = _group(times, lambda each: each.test)[:DEAREST]
    yield from _align([[*names, "test"], *([*_sum_up(group), test] for test, group in dearest)])


def _folder_of(time: PhaseTime) -> str:
    return str(Path(time.test.partition("::")[0]).parent)


def _group(
    times: Sequence[PhaseTime], key: Callable[[PhaseTime], str]
) -> list[tuple[str, list[PhaseTime]]]:
    """The dearest first."""
    groups = defaultdict[str, list[PhaseTime]](list)
    for each in times:
        groups[key(each)].append(each)
    return sorted(groups.items(), key=lambda group: -sum(each.wall for each in group[1]))


def _sum_up(times: Sequence[PhaseTime]) -> list[str]:
    """Wall, waiting and processor."""
    wall = sum(each.wall for each in times)
    waiting = sum(each.waiting for each in times)
    processor = sum(each.processor for each in times)
    return [f"{seconds:.1f}" for seconds in (wall, waiting, processor)]


def _align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *numbers, name in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths[:-1], strict=True))
        yield "  ".join((*cells, name)).rstrip()


class _Process(NamedTuple):
    """In the order in which processes begin: parents come before their children."""

    start: int
    pid: int
    parent: int
    own: int  # ticks of the processor
    reaped: int  # of children that ended


class ProcessorClock:
    """Processor time of this process and of all that it started, in laps.

    Children that were reaped are not enough: servers and telephones outlive a test. Orphans are
    found by what they inherit, if nobody saw them with their parents before.
    """

    def __init__(self) -> None:
        os.environ[VARIABLE] = str(os.getpid())
        self._others = set[int]()  # processes of somebody else
        self._ours = dict[int, _Process]()
        self._ours = self._read_ours()

    def lap(self) -> float:
        """Seconds since the last lap, without those of orphans that ended within it."""
        before, now = self._ours, self._read_ours()
        self._ours = now
        counted = Counter[int]()  # ticks of those that ended, which their reapers have by now too
        for pid in before.keys() - now.keys():
            reaper = before[pid].parent
            while reaper in before and reaper not in now:
                reaper = before[reaper].parent
            counted[reaper] += before[pid].own + before[pid].reaped
        ticks = 0
        for pid, process in now.items():
            was = before.get(pid, process._replace(own=0, reaped=0))
            ticks += process.own - was.own
            ticks += max(0, process.reaped - was.reaped - counted[pid])
        return ticks / _TICKS

    def _read_ours(self) -> dict[int, _Process]:
        """Read anew when one ended meanwhile: its time would be here twice, or nowhere."""
        while True:
            running = _list_processes()
            self._others &= running
            ours: dict[int, _Process] = {}
            for process in sorted(filter(None, map(_read, running - self._others))):
                if self._is_ours(process, ours):
                    ours[process.pid] = process
                else:
                    self._others.add(process.pid)
            if running - self._others <= _list_processes():
                return ours

    def _is_ours(self, process: _Process, older: dict[int, _Process]) -> bool:
        return (
            process.pid in self._ours
            or process.parent in older
            or process.pid == os.getpid()
            or _inherits(process.pid)
        )


def _list_processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _read(pid: int) -> _Process | None:
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None  # it ended meanwhile
    # From the state on, which is field 3: before it is a name in brackets, which may be any.
    fields = line.rpartition(b")")[2].split()
    user, system, reaped_user, reaped_system = map(int, fields[11:15])
    return _Process(
        start=int(fields[19]),
        pid=pid,
        parent=int(fields[1]),
        own=user + system,
        reaped=reaped_user + reaped_system,
    )


def _inherits(pid: int) -> bool:
    """Whether it was started by this process, or by what this one started."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # it ended meanwhile, or is somebody else's
    return f"{VARIABLE}={os.getpid()}".encode() in environment.split(b"\0")
