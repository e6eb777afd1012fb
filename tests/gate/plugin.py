"""The gate's part inside of pytest: seeds, the choice of tests, and what came of them.

Without options, as when somebody calls pytest, nothing is left out and the seed is the commit's.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.gate.lanes import COMPUTE, LANE_BY_NAME, lane_of
from tests.gate.results import ResultFolder
from tests.gate.selection import first_drawn, is_drawn, recently_changed
from tests.seeds import VARIABLE, tree_seed

CHOICES = ("all", "usual", "quick")
SERVERS = {"postgres", "redis_url"}  # fixtures that start one


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gate")
    group.addoption("--seed", type=int, help="the seed of this run; without it the commit's")
    group.addoption("--lane", choices=LANE_BY_NAME, help="only the tests of this lane")
    group.addoption(
        "--choose",
        choices=CHOICES,
        default="all",
        help="all tests, without the slow ones that the seed did not draw, or quick ones alone",
    )
    group.addoption("--results", type=Path, help="a folder in which the gate reads the results")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    seed = config.option.seed
    if seed is None:
        seed = config.option.seed = tree_seed(config.rootpath)
    os.environ[VARIABLE] = str(seed)
    config.option.randomly_seed = seed
    config.option.hypothesis_seed = seed
    # With the processes of xdist only the one that gathers their reports writes them down.
    if config.option.results is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reporter(ResultFolder(config.option.results)))


class _Reporter:
    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._folder.add(report.nodeid, "failed", _message(report))
        elif report.skipped:
            self._folder.add(report.nodeid, "skipped")
        elif report.when == "call":
            self._folder.add(report.nodeid, "passed")


def _message(report: pytest.TestReport) -> str:
    """The first line of what it failed with."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message if crash is not None else report.longrepr).splitlines()
    return next((line for line in lines if line.strip()), "no message")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    in_lane = [item for item in items if _is_in_lane(config, item)]
    chosen = _choose(config, in_lane)
    if config.option.results is not None:
        slow = {item.nodeid for item in in_lane if _is_slow(item)}
        left_out = slow - {item.nodeid for item in chosen}
        ResultFolder(config.option.results).say_left_out(len(left_out))
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


def _is_in_lane(config: pytest.Config, item: pytest.Item) -> bool:
    return config.option.lane in (None, _lane(item))


def _lane(item: pytest.Item) -> str:
    test = item.path.relative_to(item.config.rootpath / "tests")
    return lane_of(test, alone=item.get_closest_marker("alone") is not None).name


def _choose(config: pytest.Config, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    if config.option.choose == "all":
        return list(items)
    prompt = [item for item in items if not _is_slow(item)]
    if config.option.choose == "quick":
        return _quick(config.option.seed, prompt)
    slow = [item for item in items if _is_slow(item)]
    changed = recently_changed(config.rootpath) if slow else {}
    drawn = {
        item
        for item in slow
        if is_drawn(config.option.seed, item.nodeid)
        or _function(item) in changed.get(item.path, ())
    }
    return [item for item in items if item in drawn or not _is_slow(item)]


def _quick(seed: int, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """What needs no server, and of each other file the test that the seed draws."""
    by_file: dict[Path, list[str]] = defaultdict(list)
    for item in items:
        if _needs_server(item):
            by_file[item.path].append(item.nodeid)
    drawn = {first_drawn(seed, tests) for tests in by_file.values()}
    return [item for item in items if item.nodeid in drawn or not _needs_server(item)]


def _needs_server(item: pytest.Item) -> bool:
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    return _lane(item) != COMPUTE.name or not SERVERS.isdisjoint(fixtures)


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def _function(item: pytest.Item) -> str:
    return str(getattr(item, "originalname", item.name))
