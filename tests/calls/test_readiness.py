"""Who hears nothing of Asterisk, stands still or is leaving does not say that it is ready."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from callcenter.appeals.calls.recent_drops import RecentDrops
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.metrics_server import metrics_port
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.asterisk.ari import Ari
from callcenter.telephony.callers.blocklist.cache import Blocklist
from callcenter.telephony.callers.care_plans.cache import CarePlanCache
from callcenter.telephony.calls.outcomes import Outcome
from tests.calls.call_center import LIMIT, CallCenter, running_controller
from tests.calls.disposable_stack import both_hear, connected
from tests.calls.faulty_controllers import BLOCKABLE, block
from tests.calls.processes import Announced, running_controller_program, to_be_watched
from tests.calls.tcp_proxies import EventRelay, passed_on, relayed_ari, swallowed
from tests.calls.test_watched import is_ready, metrics, requested

pytestmark = pytest.mark.asyncio(loop_scope="session")


def port_of(settings: Settings, name: str) -> int:
    port = metrics_port(settings, name)
    assert port is not None
    return port


@asynccontextmanager
async def relayed(call_center: CallCenter) -> AsyncIterator[tuple[EventRelay, Settings]]:
    """What a process hears of Asterisk by, and the settings of one that tells how it is."""
    async with relayed_ari(call_center) as (relay, settings):
        yield relay, to_be_watched(settings)


@pytest.mark.parametrize("fault", ["deaf", "half open"])
@pytest.mark.parametrize("name", ["line-1", "watchdog"])
async def test_who_hears_nothing_of_asterisk_is_alive_and_not_ready(
    disposable: CallCenter, name: str, fault: str
) -> None:
    async with relayed(disposable) as (relay, settings):
        arguments = ("controller", "--name", name) if name != "watchdog" else (name,)
        process, port = Announced(settings, name, *arguments), port_of(settings, name)
        await process.start()
        try:
            await is_ready(port, 200)
            if fault == "deaf":
                relay.fate = swallowed
            else:
                relay.flows.clear()
            await is_ready(port, 503)
            for _ in range(10):  # nor while it connects again and again
                assert (await requested(port, "/ready"))[0] == 503
                await asyncio.sleep(0.3)
            assert (await requested(port, "/live"))[0] == 200
            assert (await metrics(port))["callcenter_events_behind_seconds", ""] > 2
            relay.fate = passed_on
            relay.flows.set()
            await is_ready(port, 200)
        finally:
            await process.kill(signal.SIGTERM)


async def test_asterisk_is_connected_once_facts_about_callers_are_read(
    disposable: CallCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the first calls wait, as whom nobody claims, for what a start reads and compiles."""
    begun = list[type]()
    read = (Blocklist, CarePlanCache, RecentDrops)

    def note(of: type, method: str) -> None:
        original = getattr(of, method)

        async def noted(*given: Any, **how: Any) -> object:
            begun.append(of)
            return await original(*given, **how)

        monkeypatch.setattr(of, method, noted)

    for of in read:
        note(of, "read")
    note(RedisCallDistributor, "update_roster")
    note(Ari, "run")
    async with running_controller(disposable.settings, "line-1"):
        assert {*read, RedisCallDistributor} <= {*begun[: begun.index(Ari)]}


async def test_one_that_stands_still_does_not_look_alive(disposable: CallCenter) -> None:
    settings = to_be_watched(disposable.settings)
    port = port_of(settings, "line-1")
    async with running_controller_program(settings, "line-1", program=BLOCKABLE) as line:
        await is_ready(port, 200)
        block(line)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await requested(port, "/live")
        await is_ready(port, 200)


async def test_a_last_controller_in_shutdown_is_not_ready_for_others(
    disposable: CallCenter,
) -> None:
    call_center = disposable
    settings = to_be_watched(call_center.settings)
    port = port_of(settings, "line-1")
    async with (
        running_controller_program(settings, "line-1") as line,
        call_center.softphone("201") as consultant,
        call_center.caller("+77020000520") as caller,
    ):
        await consultant.register()
        leg = await connected(call_center, caller, consultant)
        line.send(signal.SIGTERM)
        await is_ready(port, 503)
        assert (await requested(port, "/live"))[0] == 200
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await line.ended()


@pytest.mark.parametrize(
    "when", ["it begins", "it is connected again", "the switch is another one"]
)
async def test_a_call_during_a_controllers_first_scan_is_served(
    disposable: CallCenter, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It has asked the switch for its channels; the answer says nothing of who comes now."""
    looks, came, looked = asyncio.Event(), asyncio.Event(), asyncio.Event()
    request = Ari.request

    async def slow(ari: Ari, method: str, path: str, *args: Any, **how: Any) -> Any:
        answer = await request(ari, method, path, *args, **how)
        if (method, path) == ("GET", "channels") and not how.get("unsure") and _is_connecting():
            if when == "it begins" or looked.is_set():
                looks.set()
                await came.wait()
            looked.set()
        return answer

    monkeypatch.setattr(Ari, "request", slow)
    async with running_controller(disposable.settings, "line-1") as controller:
        if when != "it begins":
            await asyncio.wait_for(looked.wait(), LIMIT)
        if when == "it is connected again":
            await controller.node.ari.connect_again()
        elif when == "the switch is another one":
            await disposable.switch.kill()
            await disposable.switch.start()
        await asyncio.wait_for(looks.wait(), LIMIT)
        async with disposable.caller("+77020600001") as caller:
            await disposable.hears(caller, "kk", "greeting")
            came.set()
            await caller.press("2")
            await disposable.hears(caller, "ru", "emergency_hint")
            await caller.hang_up()
        appeal = await disposable.appeal("+77020600001")
    assert appeal.outcome == Outcome.LEFT_IN_MENU
    assert appeal.ended_at is not None
    assert appeal.ended_at > appeal.received_at  # and not when the last switch died


def _is_connecting() -> bool:
    """Whether the task that asks is the one that begins with a connection."""
    task = asyncio.current_task()
    return task is not None and any(
        frame.f_code.co_name == Ari.greet.__name__ for frame in task.get_stack()
    )
