"""What every test may ask for, and what holds for all of them."""

import signal

import pytest

from tests import warm

pytest_plugins = ["tests.services", "tests.gate.plugin"]

warm.in_tests = True

# A run that is told to end takes down what it has started, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--storms", type=int, default=1, help="storms of calls, tests/calls/storm.py")
    parser.addoption("--pictures", help="a folder for pictures of all pages, tests/browser")


def _neighbourhood(item: pytest.Item) -> tuple[str, bool]:
    """Tests of one neighbourhood share what takes long to start: a house, a browser."""
    return item.path.parent.name, "fragile" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, each process begins with tests that are neighbours."""
    if getattr(config, "workerinput", {}).get("workercount", 1) > 1:
        items.sort(key=_neighbourhood)
