"""What every test may ask for, and what holds for all of them."""

import os
import signal

import pytest

import callcenter.bootstrap.rooms  # noqa: F401 - registers them
from tests import fork_server

pytest_plugins = ["tests.services", "tests.versions", "tests.gate.plugin"]

fork_server.in_tests = True
# Beside other tests any process is late, and who calls would be left to the fallback.
os.environ.setdefault("CALLCENTER_ADMISSION_LIMIT", "3600")

# A run that is told to end takes down what it has started, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="only what has a long form, and in it")
    parser.addoption("--storms", type=int, default=1, help="storms of calls, tests/calls/storm.py")
    parser.addoption("--guide-pictures", action="store_true", help="make pictures: write them")
    parser.addoption("--pictures", help="a folder for pictures of all pages, tests/browser")


@pytest.fixture(scope="session")
def at_length(pytestconfig: pytest.Config) -> bool:
    """Whether a flood, a soak or a big table is as long as in `make long`: a test is short."""
    return bool(pytestconfig.getoption("--long"))


def _neighbourhood(item: pytest.Item) -> tuple[str, bool]:
    """Tests of one neighbourhood share what takes long to start: a call center, a browser."""
    return item.path.parent.name, "disposable" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        config.hook.pytest_deselected(items=[item for item in items if not _is_long(item)])
        items[:] = filter(_is_long, items)
    if getattr(config, "workerinput", {}).get("workercount", 1) > 1:
        items.sort(key=_neighbourhood)


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None
