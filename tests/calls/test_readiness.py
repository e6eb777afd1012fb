"""Who hears nothing of Asterisk, stands still or is leaving does not say that it is ready."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from callcenter.asterisk.ari import Ari
from callcenter.line.outcomes import Outcome
from callcenter.settings import Settings
from callcenter.up.observed import metrics_port
from tests.calls.ailing import BLOCKABLE, block
from tests.calls.fragile import both_hear, connected
from tests.calls.house import LIMIT, House, running_controller
from tests.calls.parts import Announced, running_line, to_be_watched
from tests.calls.relays import EventRelay, passed_on, relayed_ari, swallowed
from tests.calls.test_watched import asked, is_ready, metrics

pytestmark = pytest.mark.asyncio(loop_scope="session")


def port_of(settings: Settings, name: str) -> int:
    port = metrics_port(settings, name)
    assert port is not None
    return port


@asynccontextmanager
async def relayed(house: House) -> AsyncIterator[tuple[EventRelay, Settings]]:
    """What a process hears of Asterisk by, and the settings of one that tells how it is."""
    async with relayed_ari(house) as (relay, settings):
        yield relay, to_be_watched(settings)


@pytest.mark.parametrize("fault", ["deaf", "half open"])
@pytest.mark.parametrize("name", ["line-1", "watchdog"])
async def test_who_hears_nothing_of_asterisk_is_alive_and_not_ready(
    fragile: House, name: str, fault: str
) -> None:
    async with relayed(fragile) as (relay, settings):
        arguments = ("line", "--name", name) if name != "watchdog" else (name,)
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
                assert (await asked(port, "/ready"))[0] == 503
                await asyncio.sleep(0.3)
            assert (await asked(port, "/live"))[0] == 200
            assert (await metrics(port))["callcenter_events_behind_seconds", ""] > 2
            relay.fate = passed_on
            relay.flows.set()
            await is_ready(port, 200)
        finally:
            await process.kill(signal.SIGTERM)


async def test_one_that_stands_still_does_not_look_alive(fragile: House) -> None:
    settings = to_be_watched(fragile.settings)
    port = port_of(settings, "line-1")
    async with running_line(settings, "line-1", program=BLOCKABLE) as line:
        await is_ready(port, 200)
        block(line)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asked(port, "/live")
        await is_ready(port, 200)


async def test_the_last_one_that_serves_who_talks_to_the_end_is_not_ready_for_others(
    fragile: House,
) -> None:
    house = fragile
    settings = to_be_watched(house.settings)
    port = port_of(settings, "line-1")
    async with (
        running_line(settings, "line-1") as line,
        house.softphone("201") as consultant,
        house.caller("+77020000520") as caller,
    ):
        await consultant.register()
        leg = await connected(house, caller, consultant)
        line.send(signal.SIGTERM)
        await is_ready(port, 503)
        assert (await asked(port, "/live"))[0] == 200
        await both_hear(caller, leg)
        await leg.hang_up()
        await caller.ended()
        await line.ended()


@pytest.mark.parametrize(
    "when", ["it begins", "it is connected again", "the switch is another one"]
)
async def test_who_calls_while_a_controller_looks_what_is_there_is_served(
    fragile: House, monkeypatch: pytest.MonkeyPatch, when: str
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
    async with running_controller(
        fragile.settings, "line-1", fragile.engine, fragile.redis
    ) as controller:
        if when != "it begins":
            await asyncio.wait_for(looked.wait(), LIMIT)
        if when == "it is connected again":
            await controller.channels.ari.connect_again()
        elif when == "the switch is another one":
            await fragile.switch.kill()
            await fragile.switch.start()
        await asyncio.wait_for(looks.wait(), LIMIT)
        async with fragile.caller("+77020600001") as caller:
            await fragile.hears(caller, "kk", "greeting")
            came.set()
            await caller.press("2")
            await fragile.hears(caller, "ru", "emergency_hint")
            await caller.hang_up()
        appeal = await fragile.appeal("+77020600001")
    assert appeal.outcome == Outcome.LEFT_IN_MENU
    assert appeal.ended_at is not None
    assert appeal.ended_at > appeal.received_at  # and not when the last switch died


def _is_connecting() -> bool:
    """Whether the task that asks is the one that begins with a connection."""
    task = asyncio.current_task()
    return task is not None and any(
        frame.f_code.co_name == Ari._greet.__name__ for frame in task.get_stack()
    )
