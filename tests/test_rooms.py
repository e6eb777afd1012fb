"""`rooms.toml`: each test belongs to a room, and what --quick shows is there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import rooms

ROOT = rooms.TESTS.parent


def marks(node: ast.Module | ast.AsyncFunctionDef | ast.FunctionDef) -> str:
    """The source of the marks of a test, or of all tests of a file."""
    if isinstance(node, ast.Module):
        set_here = (each for each in node.body if isinstance(each, ast.Assign))
        return " ".join(ast.unparse(each) for each in set_here if "pytestmark" in ast.unparse(each))
    return " ".join(map(ast.unparse, node.decorator_list))


def marks_of_tests() -> dict[str, str]:
    """The marks of every test function, by its name."""
    found = {}
    for file in rooms.TESTS.rglob("test_*.py"):
        module = ast.parse(file.read_text("utf-8"))
        for node in module.body:
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                found[node.name] = f"{marks(module)} {marks(node)}"
    return found


def test_every_test_file_belongs_to_a_room() -> None:
    existing = {file for name in rooms.read() for file in rooms.files_of(name)}
    assert [file for file in rooms.TESTS.rglob("test_*.py") if file not in existing] == []


def test_every_folder_of_the_package_is_a_room() -> None:
    package = ROOT / "callcenter"
    folders = [*package.glob("*/__init__.py"), *(package / "telephony").glob("*/__init__.py")]
    assert {each.parent.name for each in folders} <= rooms.read().keys()


def test_every_pattern_matches_a_file() -> None:
    patterns = {pattern for room in rooms.read().values() for pattern in room.tests}
    assert [pattern for pattern in sorted(patterns) if not rooms.matching(pattern)] == []


def test_every_room_shows_capabilities_by_existing_quick_tests() -> None:
    found = marks_of_tests()
    for name, room in rooms.read().items():
        assert room.shows or room.rooms or name == "tools", f"{name} shows nothing"
        for test in room.shows.values():
            assert test in found, f"{name} is shown by {test}, which does not exist"
            assert "mark.slow" not in found[test], f"{test} is slow: show {name} by another"


@pytest.mark.parametrize("script", [("scripts/test",), (sys.executable, "-m", "tests.rooms")])
def test_an_unknown_room_is_refused_with_the_rooms_there_are(script: tuple[str, ...]) -> None:
    refused = subprocess.run([*script, "kitchen"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "kitchen" in refused.stderr
    assert set(rooms.read()) <= set(refused.stderr.replace(",", " ").replace(".", " ").split())


def test_a_wing_has_the_tests_of_its_rooms() -> None:
    acd, telephony = rooms.files_of("acd"), rooms.files_of("telephony")
    assert Path(rooms.TESTS / "rules" / "test_priority.py") in acd
    assert set(acd) < set(telephony)
