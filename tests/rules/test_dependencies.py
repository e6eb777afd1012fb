"""Packages: everything imported is declared, and the locks agree with pyproject and each other."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = PYPROJECT["project"]["dependencies"]
DEV = PYPROJECT["project"]["optional-dependencies"]["dev"]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
OURS = {"callcenter", "tests"}
NAME = re.compile(r"[A-Za-z0-9._-]+")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))? \\$")


def names(requirements: list[str]) -> set[str]:
    return {normal(match[0]) for each in requirements if (match := NAME.match(each))}


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(folder: str) -> dict[str, Path]:
    """Top-level modules that are neither ours nor Python's, each with a file that imports it."""
    return {
        top: path
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts
        for top in tops(ast.parse(path.read_text(encoding="utf-8")))
        if top not in OURS | sys.stdlib_module_names
    }


def tops(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def pins(lock: str) -> dict[str, tuple[str, str | None, frozenset[str]]]:
    """Version, marker and hashes of each distribution in a lock, by name."""
    found: dict[str, tuple[str, str | None, frozenset[str]]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8")):
        pin = PIN.match(entry.partition("\n")[0])
        assert pin is not None, entry
        hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry))
        assert hashes, entry
        found[pin["name"]] = (pin["version"], pin["marker"], hashes)
    return found


@pytest.mark.parametrize(
    ("folder", "declared"),
    [("callcenter", RUNTIME), ("migrations", RUNTIME), ("tests", RUNTIME + DEV)],
    ids=["callcenter", "migrations", "tests"],
)
def test_what_is_imported_is_declared(folder: str, declared: list[str]) -> None:
    installed = packages_distributions()
    undeclared = {
        top: str(path)
        for top, path in imported(folder).items()
        if not names(declared) & set(map(normal, installed.get(top, ())))
    }
    assert undeclared == {}


@pytest.mark.parametrize(
    ("lock", "declared"),
    list(zip(LOCKS, [RUNTIME, RUNTIME + DEV], strict=True)),
    ids=LOCKS,
)
def test_locks_have_what_is_declared(lock: str, declared: list[str]) -> None:
    assert names(declared) <= set(pins(lock))


def test_the_development_lock_contains_the_runtime_lock() -> None:
    run, develop = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: develop.get(name) for name in run} == run


def test_there_are_two_locks_to_run_and_to_develop() -> None:
    assert sorted(file.name for file in ROOT.glob("*.lock")) == sorted(LOCKS)


def test_tools_of_set_up_are_pinned_and_do_not_run() -> None:
    match = re.search(r"/\^\(([a-z|-]+)\)==/", (ROOT / "scripts" / "setup").read_text("utf-8"))
    assert match is not None
    tools = set(match[1].split("|"))
    assert tools <= set(pins("requirements-dev.lock"))
    assert tools & set(pins("requirements.lock")) == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE)
