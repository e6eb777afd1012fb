"""The gate's part inside of pytest: seeds, the choice of tests, what came of them, their times.

Without options, as when somebody calls pytest, nothing is left out, with the seed of the gate.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import rooms
from tests.gate.lanes import LANE_BY_NAME, lane_of
from tests.gate.lateness import is_lateness
from tests.gate.results import FailureKind, ResultFolder
from tests.gate.times import PhaseTime, ProcessorClock
from tests.seeds import VARIABLE, SeedError, fixed_seed

KIND = "failure_kind"  # of a report of what failed; a process that died reports none
LAST_USER = "last_user"  # of a report of what failed in setup: who used what it shares before
PROCESSOR = "processor_seconds"  # of a report: of its phase; only with --times

_HAS_FAILED = pytest.StashKey[bool]()
_LAST_USERS = pytest.StashKey[dict[str, str]]()  # of a session, by fixture: the latest last
_LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gate")
    group.addoption("--seed", type=int, help="the seed of this run; without it that of tests/seed")
    group.addoption("--lane", choices=LANE_BY_NAME, help="only the tests of this lane")
    group.addoption("--quick", action="store_true", help="a test of each capability")
    group.addoption("--results", type=Path, help="a folder in which the gate reads the results")
    group.addoption("--times", action="store_true", help="measure the processor time of tests")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    seed = config.option.seed
    if seed is None:
        try:
            seed = config.option.seed = fixed_seed(config.rootpath)
        except SeedError as exc:
            raise pytest.UsageError(str(exc)) from exc
    os.environ[VARIABLE] = str(seed)
    config.option.randomly_seed = seed
    config.option.hypothesis_seed = seed
    # Neither the profile that hypothesis has for CI, which knows no seed, nor what failed before.
    # How long an example takes is the machine's affair: it has other tests to run meanwhile.
    settings.register_profile("seeded", deadline=None, derandomize=False, database=None)
    settings.load_profile("seeded")
    # With the processes of xdist only the one that gathers their reports writes them down.
    if config.option.results is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reporter(ResultFolder(config.option.results)))
    if config.option.times:
        config.pluginmanager.register(_Meter())


class _Reporter:
    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, PROCESSOR):
            processor: float = getattr(report, PROCESSOR)
            phase = PhaseTime(report.nodeid, report.when, report.duration, processor)
            self._folder.add_time(phase)
        if report.failed:
            kind = FailureKind(getattr(report, KIND, FailureKind.FINAL))
            self._folder.add_failure(report.nodeid, _message(report), kind, report.when)
        elif report.skipped:
            self._folder.add_outcome(report.nodeid, "skipped")
        elif report.when == "call":
            self._folder.add_outcome(report.nodeid, "passed")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._folder.add_fault(f"cannot collect {report.nodeid}: {_message(report)}")


class _Meter:
    """Hooks that measure, where tests run."""

    def __init__(self) -> None:
        self._clock = ProcessorClock()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, bool | None, bool | None]:
        self._clock.lap()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        processor = self._clock.lap()
        report = yield
        setattr(report, PROCESSOR, processor)
        return report


def _message(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The first line of what it failed with, and in setup who may have left it so."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message if crash is not None else report.longrepr).splitlines()
    message = next((line for line in lines if line.strip()), "no message")
    last_user = getattr(report, LAST_USER, None)
    return message if last_user is None else f"{message} (last used by {last_user})"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """After a test that failed, what it shares with others is taken down, and made anew for them.

    What it left there would fail them too: a call, a lease, a page of the browser.
    """
    last_users = item.session.stash.setdefault(_LAST_USERS, {})
    for name in _shared_fixtures(item):
        last_users.pop(name, None)
        last_users[name] = item.nodeid
    errors: list[BaseException] = []
    try:
        yield
    except (Exception, pytest.fail.Exception) as exc:
        errors.append(exc)
    has_failed: bool = item.stash.get(_HAS_FAILED, False)
    if errors or has_failed:
        try:
            # As pytest does after the last test; no hook does so after another.
            item.session._setupstate.teardown_exact(None)  # noqa: SLF001
            last_users.clear()
        except (Exception, pytest.fail.Exception) as exc:
            errors.append(exc)
    if len(errors) > 1:
        own, shared = errors
        raise BaseExceptionGroup(f"{own!r}, and of what it shares with others {shared!r}", errors)
    for each in errors:
        raise each


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_HAS_FAILED] = True
    if report.failed and call.when == "setup" and (last_user := _last_user(item)):
        setattr(report, LAST_USER, last_user)
    if report.failed and call.excinfo is not None:
        is_limit = is_lateness(call.excinfo.value)
        setattr(report, KIND, int(FailureKind.LIMIT if is_limit else FailureKind.VALUE))
    return report


def _shared_fixtures(item: pytest.Item) -> set[str]:
    """Names of the fixtures that it shares with other tests, of those that are ours."""
    if not isinstance(item, pytest.Function):
        return set()
    fixtures = item._fixtureinfo.name2fixturedefs  # noqa: SLF001 - nothing public knows their scopes
    return {
        name
        for name, (*_, used) in fixtures.items()
        if used.scope != "function" and "site-packages" not in used.func.__code__.co_filename
    }


def _last_user(item: pytest.Item) -> str | None:
    """The test that was the last to use something that this one shares."""
    shared = _shared_fixtures(item)
    users = item.session.stash.get(_LAST_USERS, {})
    return next((user for name, user in reversed(users.items()) if name in shared), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    in_lane = [item for item in items if _is_in_lane(config, item)]
    chosen = rooms.quick(in_lane) if config.option.quick else in_lane
    config.stash[_LEFT_OUT] = len(in_lane) - len(chosen)
    remaining = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in remaining])
    items[:] = chosen


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if config.option.results is not None:
        chosen = [item.nodeid for item in session.items]
        ResultFolder(config.option.results).add_choice(chosen, config.stash.get(_LEFT_OUT, 0))


def _is_in_lane(config: pytest.Config, item: pytest.Item) -> bool:
    return config.option.lane in (None, _lane(item))


def _lane(item: pytest.Item) -> str:
    test = item.path.relative_to(item.config.rootpath / "tests")
    return lane_of(test, alone=item.get_closest_marker("alone") is not None).name
