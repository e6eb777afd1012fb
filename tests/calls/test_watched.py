"""What real processes tell whoever watches them, during a real call and when a server is sick."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from callcenter.bootstrap.metrics import SERVER_TIMEOUT
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.monitoring.metrics_server import metrics_port
from callcenter.platform.storage.engine import temporary_engine
from callcenter.portal.metrics import PortalMetrics
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.reconciliation.alerts import LEDGER_DIFFERS
from tests.calls.call_center import CallCenter
from tests.calls.disposable_stack import connected, has_happened
from tests.calls.processes import (
    OwnPostgres,
    OwnRedis,
    Process,
    running_controller_program,
    running_watchdog,
    to_be_watched,
)
from tests.polling import NotInTime, require_within, until
from tests.services import CALLCENTER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]

Reported = dict[tuple[str, str], float]


@pytest.fixture
def watched(disposable: CallCenter) -> Settings:
    """The settings of the call center, whose processes tell how they are."""
    return to_be_watched(disposable.settings)


@asynccontextmanager
async def running(settings: Settings, what: str) -> AsyncIterator[None]:
    """`worker` or `web`."""
    process = Process(
        (*CALLCENTER, what), settings.var / f"{what}.log", dict(environment(settings))
    )
    await process.start()
    try:
        yield
    except BaseException as exc:
        exc.add_note(f"{what}: {process.log.read_text()[-1000:]}")
        raise
    finally:
        await process.kill()


async def requested(port: int, path: str) -> tuple[int, str]:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, "nobody answers"


async def metrics(port: int) -> Reported:
    """By name and the value of the label."""
    status, body = await requested(port, "/metrics")
    assert status == 200, body
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def is_ready(port: int, status: int) -> str:
    """Wait until `/ready` has this status; returns what it says then."""
    said = 0, ""

    async def says_so() -> bool:
        nonlocal said
        said = await requested(port, "/ready")
        return said[0] == status

    try:
        await until(says_so, f"/ready on port {port} is {status}", 60)
    except NotInTime as exc:
        exc.add_note(f"it says {said}")
        raise
    return said[1]


async def test_processes_tell_calls_queues_journals_and_whether_they_are_ready(
    disposable: CallCenter, watched: Settings, postgres_server: OwnPostgres
) -> None:
    call_center, number = disposable, "+77020000501"
    assert watched.metrics_port is not None
    worker, line = watched.metrics_port, watched.metrics_port + 1
    async with running_controller_program(watched, "line-1"), running(watched, "worker"):
        await asyncio.gather(is_ready(line, 200), is_ready(worker, 200))
        async with (
            call_center.consultant("201") as consultant,
            call_center.caller(number) as caller,
        ):
            leg = await connected(call_center, caller, consultant)
            await has_happened(call_center, number, CallEvent.RECORDING_STARTED)
            reported = await metrics(line)
            assert reported["callcenter_calls", "talking"] == 1
            assert reported["callcenter_calls", "waiting"] == 0
            assert reported["callcenter_offers_total", ""] == 1
            assert reported["callcenter_longest_wait_seconds", ""] == 0
            assert 0 <= reported["callcenter_events_behind_seconds", ""] < 30
            assert reported["callcenter_switch_connected", "ari"] == 1
            files = reported["callcenter_switch_open_files", ""]
            assert 0 < files < reported["callcenter_switch_open_files_limit", ""]
            assert reported["process_resident_memory_bytes", ""] > 0
            about = await metrics(worker)
            assert about["callcenter_recordings", "recording"] >= 1
            assert about["callcenter_up", "postgresql"] == 1
            assert about["callcenter_desk_waiting", ""] == 0
            assert 0 < about["callcenter_disk_used_ratio", "spool"] < 1
            await asyncio.to_thread(postgres_server.pause)
            try:
                await leg.hang_up()
                await caller.ended()

                async def journal_is_on_disk() -> bool:
                    return (await metrics(line))["callcenter_journal_disk_bytes", ""] > 0

                await until(journal_is_on_disk, "the line tells that its journal is on disk")
                assert '"postgresql": false' in await is_ready(worker, 503)
                assert (await requested(worker, "/live"))[0] == 200
                assert (await requested(line, "/ready"))[
                    0
                ] == 200  # callers are served all the same
                asked_at = time.monotonic()
                assert ("callcenter_recordings", "recording") not in await metrics(worker)
                require_within(time.monotonic() - asked_at, 2 * SERVER_TIMEOUT, "metrics")
                assert number[1:] not in (await requested(line, "/metrics"))[1]
            finally:
                await asyncio.to_thread(postgres_server.go_on)
            await is_ready(worker, 200)
            await call_center.appeal(number)
            assert (await metrics(line))["callcenter_calls", "talking"] == 0
            await call_center.switch.stop()
            try:
                await is_ready(line, 503)
            finally:
                await call_center.switch.start()
            await is_ready(line, 200)


async def test_alert_figures_exist_and_readiness_needs_dependencies(
    disposable: CallCenter, watched: Settings, postgres_server: OwnPostgres, redis_server: OwnRedis
) -> None:
    settings = watched
    worker, line = settings.metrics_port, metrics_port(settings, "line-1")
    web, watchdog = (metrics_port(settings, each) for each in ("web", "watchdog"))
    assert worker is not None
    assert line is not None
    assert web is not None
    assert watchdog is not None
    async with (
        running_controller_program(settings, "line-1") as controller,
        running_watchdog(settings),
        running(settings, "worker"),
        running(settings, "web"),
    ):
        every = (worker, line, web, watchdog)
        for port in every:
            await is_ready(port, 200)
        reported = {name for port in every for name in await families(port)}
        async with temporary_engine(settings) as engine:
            of_portal = await PortalMetrics(settings, engine).figures()
        reported |= {each.name for each in of_portal}
        alerts = (ROOT / "docs" / "operations" / "alerts.yml").read_text()
        looked_at = set(re.findall(r"callcenter_\w+", alerts))
        assert looked_at - reported == set()
        assert looked_at
        by_kind = "callcenter_alarms_total", LEDGER_DIFFERS.key
        assert by_kind in await metrics(worker)

        async def controllers_are(count: int) -> bool:
            return (await metrics(watchdog))["callcenter_controllers", ""] == count

        await until(lambda: controllers_are(1), "the watchdog hears the controller")
        await controller.kill()
        await until(lambda: controllers_are(0), "the watchdog hears that it died")
        await controller.start()
        await until(lambda: controllers_are(1), "the watchdog hears its next life")
        redis_server.pause()
        try:
            await is_ready(worker, 503)
        finally:
            redis_server.go_on()
        await asyncio.to_thread(postgres_server.pause)
        try:
            await is_ready(web, 503)
            assert (await requested(settings.web_port, "/health/ready"))[0] == 503
            assert (await requested(settings.web_port, "/health/live"))[0] == 200
        finally:
            await asyncio.to_thread(postgres_server.go_on)
        for port in (worker, line, web):
            await is_ready(port, 200)
        assert (await metrics(web))["callcenter_web_answers_total", "5xx"] >= 1


async def test_no_process_writes_down_a_withheld_number(
    disposable: CallCenter, watched: Settings
) -> None:
    withheld, call_center = "+77020000517", disposable
    settings = watched.model_copy(update={"trace_legal_basis": "Law 000-V, article 1"})
    var, worker = settings.var, settings.metrics_port
    assert worker is not None

    async def sealed() -> int:
        async with call_center.engine.connect() as connection:
            found = await connection.exec_driver_sql("SELECT count(*) FROM sealed_number")
            return int(found.scalar_one())

    before = await sealed()
    async with (
        running_controller_program(settings, "line-1"),
        running_watchdog(settings),
        running(settings, "worker"),  # it hears Asterisk's SIP
        running(settings, "web"),
    ):
        await asyncio.gather(is_ready(worker + 1, 200), is_ready(worker, 200))
        headers = {"P-Asserted-Identity": f"<sip:{withheld}@127.0.0.2>", "Privacy": "id"}
        async with call_center.phone("anonymous") as phone:
            call = await phone.call("111", headers=headers)
            await call.answered()
            await call_center.hears(call, "kk", "greeting")

        async def is_sealed() -> bool:
            return await sealed() > before

        await until(is_sealed, "the number is kept for a trace")
        await call_center.switch.assert_no_resources_left()
    logs = [*var.glob("*.log"), *var.parent.glob("own-*.log"), var.parent / "own-pg" / "log"]
    assert {"line-1", "watchdog", "worker", "web", "own-redis", "log"} <= {e.stem for e in logs}
    files = {path for path in var.rglob("*") if path.is_file() and path.suffix != ".alaw"}
    digits = withheld.removeprefix("+").encode()
    assert [path.name for path in files.union(logs) if digits in path.read_bytes()] == []


async def families(port: int) -> set[str]:
    """Names as rules use them, whether or not there is a value now."""
    _, body = await requested(port, "/metrics")
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(body)
    }
