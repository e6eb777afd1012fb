"""What every test may ask for, and what holds for all of them."""

import signal

import pytest
from hypothesis import settings

pytest_plugins = ["tests.services"]

# How long an example takes is the machine's affair: it has other tests to run meanwhile.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# A run that is told to end takes down what it has started, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--storms", type=int, default=1, help="storms of calls, tests/calls/storm.py")
    parser.addoption("--storm-seed", type=int, help="seed of the first one")
    parser.addoption("--pictures", help="a folder for pictures of all pages, tests/browser")
