"""What processes use: CPU seconds and memory, read from /proc, each with all its descendants."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU that each process has used so far, its living and its ended descendants included."""
    used = {}
    children = _children()
    for name, pid in roots.items():
        used[name] = sum(_ticks(each) for each in _family(pid, children)) / TICK
    return used


def memory_bytes(roots: Mapping[str, int]) -> dict[str, int]:
    """Memory of each with its descendants: shared pages are counted in shares (Pss)."""
    children = _children()
    return {name: sum(_pss(each) for each in _family(pid, children)) for name, pid in roots.items()}


def run_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Seconds that each with its living descendants has run, as exact as the scheduler counts."""
    children = _children()
    return {
        name: sum(_run_nanoseconds(each) for each in _family(pid, children)) / 1e9
        for name, pid in roots.items()
    }


def wake_ups(roots: Mapping[str, int]) -> dict[str, int]:
    """How often the threads of each with its living descendants began to wait, and were woken."""
    children = _children()
    return {
        name: sum(_switches(each) for each in _family(pid, children)) for name, pid in roots.items()
    }


def ticks_of(stat: str) -> int:
    """User and system time, own and of ended children, from the text of /proc/PID/stat.

    The name of a program may hold spaces and brackets, so counting begins after the last one.
    """
    fields = stat.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def parent_of(stat: str) -> int:
    """The parent's pid from the text of /proc/PID/stat."""
    return int(stat.rpartition(")")[2].split()[1])


def _children() -> dict[int, list[int]]:
    children = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            stat = _read(folder / "stat")
            if stat:
                children[parent_of(stat)].append(int(folder.name))
    return children


def _family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    family = [pid]
    for each in family:
        family.extend(children.get(each, ()))
    return family


def _ticks(pid: int) -> int:
    stat = _read(Path(f"/proc/{pid}/stat"))
    return ticks_of(stat) if stat else 0


def _run_nanoseconds(pid: int) -> int:
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int((_read(each) or "0").split()[0]) for each in files)


def _switches(pid: int) -> int:
    lines = [
        line
        for each in Path(f"/proc/{pid}/task").glob("*/status")
        for line in _read(each).splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def _pss(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _read(path: Path) -> str:
    """Empty when the process has just ended."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
