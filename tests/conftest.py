"""What every test may ask for, and what holds for all of them."""

import signal

import pytest
from hypothesis import settings

from tests import warm

#: Folders of tests that mostly wait, for calls and browsers take their time.
WAITING = {"asterisk", "browser", "calls", "demo", "phones", "up"}

pytest_plugins = ["tests.services"]

warm.in_tests = True

# How long an example takes is the machine's affair: it has other tests to run meanwhile.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# A run that is told to end takes down what it has started, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--storms", type=int, default=1, help="storms of calls, tests/calls/storm.py")
    parser.addoption("--storm-seed", type=int, help="seed of the first one")
    parser.addoption("--pictures", help="a folder for pictures of all pages, tests/browser")


def _neighbourhood(item: pytest.Item) -> tuple[str, bool]:
    """Tests of one neighbourhood share what takes long to start: a house, a browser."""
    return item.path.parent.name, "fragile" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, every process begins with its share of the tests that wait.

    So many of them run at once, with processors that are hardly used; what computes comes last, and
    is short, so that all processes end at about the same time. Neighbours stay together in both.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items.sort(key=_neighbourhood)
        waiting = [item for item in items if item.path.parent.name in WAITING]
        computing = [item for item in items if item.path.parent.name not in WAITING]
        items[:] = [
            item
            for share in range(processes)
            for kind in (waiting, computing)
            for item in kind[len(kind) * share // processes : len(kind) * (share + 1) // processes]
        ]
