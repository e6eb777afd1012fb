"""What real processes tell whoever watches them, during a real call and when a server is sick."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from callcenter.consultants.alarms import Alarm
from callcenter.line.outcomes import Moment
from callcenter.settings import ROOT, Settings
from callcenter.up.observed import metrics_port
from callcenter.up.supervisor import environment
from tests.calls.fragile import connected, has_happened
from tests.calls.house import House, until
from tests.calls.parts import (
    OwnPostgres,
    OwnRedis,
    Process,
    running_line,
    running_watchdog,
    to_be_watched,
)
from tests.services import CALLCENTER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.alone,
]

Told = dict[tuple[str, str], float]


@pytest.fixture
def watched(fragile: House) -> Settings:
    """The settings of the house, whose processes tell how they are."""
    return to_be_watched(fragile.settings)


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


async def asked(port: int, path: str) -> tuple[int, str]:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, "nobody answers"


async def metrics(port: int) -> Told:
    """By name and the value of the label."""
    status, body = await asked(port, "/metrics")
    assert status == 200, body
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def is_ready(port: int, status: int) -> None:
    said = 0, ""

    async def says_so() -> bool:
        nonlocal said
        said = await asked(port, "/ready")
        return said[0] == status

    try:
        await until(says_so, f"/ready on port {port} is {status}", 60)
    except AssertionError as exc:
        exc.add_note(f"it says {said}")
        raise


async def test_processes_tell_calls_queues_journals_and_whether_they_are_ready(
    fragile: House, watched: Settings, postgres_server: OwnPostgres
) -> None:
    house, number = fragile, "+77020000501"
    assert watched.metrics_port is not None
    worker, line = watched.metrics_port, watched.metrics_port + 1
    async with running_line(watched, "line-1"), running(watched, "worker"):
        await asyncio.gather(is_ready(line, 200), is_ready(worker, 200))
        async with house.consultant("201") as consultant, house.caller(number) as caller:
            leg = await connected(house, caller, consultant)
            await has_happened(house, number, Moment.RECORDING_STARTED)
            told = await metrics(line)
            assert told["callcenter_calls", "talking"] == 1
            assert told["callcenter_calls", "waiting"] == 0
            assert told["callcenter_offers_total", ""] == 1
            assert told["callcenter_longest_wait_seconds", ""] == 0
            assert 0 <= told["callcenter_events_behind_seconds", ""] < 30
            assert told["callcenter_switch_connected", "ari"] == 1
            assert told["process_resident_memory_bytes", ""] > 0
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
                await is_ready(worker, 503)
                assert (await asked(worker, "/live"))[0] == 200
                assert '"postgresql": false' in (await asked(worker, "/ready"))[1]
                assert (await asked(line, "/ready"))[0] == 200  # callers are served all the same
                assert ("callcenter_recordings", "recording") not in await metrics(worker)
                assert number[1:] not in (await asked(line, "/metrics"))[1]
            finally:
                await asyncio.to_thread(postgres_server.go_on)
            await is_ready(worker, 200)
            await house.appeal(number)
            assert (await metrics(line))["callcenter_calls", "talking"] == 0
            await house.switch.stop()
            try:
                await is_ready(line, 503)
            finally:
                await house.switch.start()
            await is_ready(line, 200)


async def test_every_figure_of_the_alarms_is_told_and_nobody_is_ready_without_what_it_needs(
    fragile: House, watched: Settings, postgres_server: OwnPostgres, redis_server: OwnRedis
) -> None:
    settings = watched
    worker, line = settings.metrics_port, metrics_port(settings, "line-1")
    web, watchdog = (metrics_port(settings, each) for each in ("web", "watchdog"))
    assert worker is not None
    assert line is not None
    assert web is not None
    assert watchdog is not None
    async with (
        running_line(settings, "line-1") as controller,
        running_watchdog(settings),
        running(settings, "worker"),
        running(settings, "web"),
    ):
        every = (worker, line, web, watchdog)
        for port in every:
            await is_ready(port, 200)
        told = {name for port in every for name in await families(port)}
        alarms = (ROOT / "docs" / "operations" / "alarms.yml").read_text()
        looked_at = set(re.findall(r"callcenter_\w+", alarms))
        assert looked_at - told == set()
        assert looked_at
        by_kind = "callcenter_alarms_total", Alarm.LEDGER_DIFFERS.value
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
            assert (await asked(settings.web_port, "/health/ready"))[0] == 503
            assert (await asked(settings.web_port, "/health/live"))[0] == 200
        finally:
            await asyncio.to_thread(postgres_server.go_on)
        for port in (worker, line, web):
            await is_ready(port, 200)
        assert (await metrics(web))["callcenter_web_answers_total", "5xx"] >= 1


async def families(port: int) -> set[str]:
    """Names as rules use them, whether or not there is a value now."""
    _, body = await asked(port, "/metrics")
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(body)
    }
