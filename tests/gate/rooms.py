"""Rooms of callcenter/ and tests/, and which test files belong to one."""

import re
from collections.abc import Sequence
from pathlib import Path


class UnknownRoomError(Exception):
    """There is no room of this name."""


def rooms(repository: Path) -> set[str]:
    """Names of the folders of callcenter/, at any depth, and of tests/."""
    packages = (repository / "callcenter").glob("**/__init__.py")
    folders = (repository / "tests").glob("*/test_*.py")
    return {file.parent.name for file in (*packages, *folders)} - {"callcenter", "tests"}


def files_of(repository: Path, room: str) -> Sequence[Path]:
    """Test files of a room: in a folder of its name, with it in theirs, or that import the room.

    Paths begin at the repository. Raises UnknownRoomError.
    """
    if room not in (known := rooms(repository)):
        raise UnknownRoomError(
            f"there is no room {room!r} (a path has a slash); rooms: {', '.join(sorted(known))}"
        )
    imports = re.compile(rf"\bcallcenter\.(\w+\.)*{re.escape(room)}\b")
    files = [file.relative_to(repository) for file in repository.glob("tests/**/test_*.py")]
    return sorted(
        file
        for file in files
        if file.parent.name == room
        or room in file.stem
        or imports.search((repository / file).read_text())
    )
