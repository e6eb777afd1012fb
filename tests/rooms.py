"""Rooms of `callcenter/`, and the tests that show what each of them does: `rooms.toml`.

    python -m tests.rooms demands recordings

prints the paths of the tests of these rooms, for scripts/test.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent


class Room(NamedTuple):
    tests: tuple[str, ...]  # patterns of paths below tests/
    rooms: tuple[str, ...]  # rooms of this wing
    shows: Mapping[str, str]  # what may be relied on, and the name of the test that shows it


class UnknownRoom(Exception):
    pass


@cache
def read() -> Mapping[str, Room]:
    """Rooms by name."""
    with (TESTS / "rooms.toml").open("rb") as file:
        reported = tomllib.load(file)
    return {
        name: Room(
            tuple(room.get("tests", ())), tuple(room.get("rooms", ())), room.get("shows", {})
        )
        for name, room in reported.items()
    }


def files_of(name: str) -> list[Path]:
    """Test files of a room and of the rooms in it. Raises UnknownRoom."""
    if name not in read():
        raise UnknownRoom(f"there is no room {name}: choose among {', '.join(sorted(read()))}")
    return sorted({file for pattern in _patterns(name) for file in matching(pattern)})


def _patterns(name: str) -> Iterator[str]:
    room = read()[name]
    yield from room.tests
    for each in room.rooms:
        yield from _patterns(each)


def matching(pattern: str) -> list[Path]:
    """Test files of a pattern: a folder, or files."""
    inside = f"{pattern}**/test_*.py" if pattern.endswith("/") else pattern
    return sorted(TESTS.glob(inside))


def quick(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """What `scripts/test --quick` runs.

    Of each test that shows a capability its first case, and what needs no server; nothing slow.
    """
    named = {test for room in read().values() for test in room.shows.values()}
    chosen, seen = [], set()
    prompt = (item for item in items if item.get_closest_marker("slow") is None)
    for item in sorted(prompt, key=lambda each: each.nodeid):
        name = getattr(item, "originalname", item.name)
        if name in named and name not in seen:
            seen.add(name)
            chosen.append(item)
        elif needs_no_server(item):
            chosen.append(item)
    stored = set(chosen)
    return [item for item in items if item in stored]


def needs_no_server(item: pytest.Item) -> bool:
    return item.path.parent.name in ("flow", "rules")


def main(names: Iterable[str]) -> None:
    try:
        for name in names:
            for file in files_of(name):
                print(file.relative_to(TESTS.parent))  # noqa: T201 for scripts/test
    except UnknownRoom as exc:
        sys.exit(f"scripts/test: {exc}")


if __name__ == "__main__":
    main(sys.argv[1:])
