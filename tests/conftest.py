"""What every test may ask for, and what holds for all of them."""

import signal
from time import monotonic

import pytest
from hypothesis import settings

from tests import warm

BEGAN = monotonic()
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
    parser.addoption("--minutes", type=float, help="after which what takes patience is left out")
    parser.addoption("--pictures", help="a folder for pictures of all pages, tests/browser")


def _neighbourhood(item: pytest.Item) -> tuple[str, bool]:
    """Tests of one neighbourhood share what takes long to start: a house, a browser."""
    return item.path.parent.name, "fragile" in getattr(item, "fixturenames", ())


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("slow"):
        return 2
    return 0 if item.path.parent.name in WAITING else 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, every process begins with its share of the tests that wait.

    So many of them run at once, with processors that are hardly used; then comes what computes, and
    at the end what takes patience. Neighbours stay together.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items.sort(key=_neighbourhood)
        turns = [[item for item in items if _turn(item) == turn] for turn in range(3)]
        items[:] = [
            item
            for share in range(processes)
            for turn in turns
            for item in turn[len(turn) * share // processes : len(turn) * (share + 1) // processes]
        ]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What takes patience is left out when the time is used up, and that is told."""
    minutes = item.config.getoption("--minutes")
    if minutes and item.get_closest_marker("slow") and monotonic() > BEGAN + 60 * minutes:
        pytest.skip("no time was left: scripts/test --minutes 60 runs it on a slow machine too")
