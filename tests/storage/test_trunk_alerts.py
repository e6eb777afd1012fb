"""A trunk that is not registered is one alert, until it is registered again."""

import asyncio
from collections.abc import Set

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.launcher.port_check import with_free_ports
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN, close_alerts, raise_alert
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.telephony.asterisk import trunks as asterisk
from callcenter.telephony.controller import trunk_monitor
from callcenter.telephony.controller.alerts import TRUNK_UNREGISTERED
from callcenter.telephony.controller.trunk_monitor import check_trunks
from callcenter.wallboard.labels import WallboardLabels
from callcenter.wallboard.store import read_open_alerts
from tests.polling import LIMIT, until

ABOUT = "trunk_unregistered:beeline"


@pytest.fixture(autouse=True)
def patient_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that a busy machine does not reach, as the monitor says nothing past it."""
    monkeypatch.setattr(trunk_monitor, "REDIS_TIMEOUT", LIMIT)


@pytest.fixture
def registrations(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """What Asterisk says of the trunks, as the test has it."""
    said = {"beeline": False, "kcell": True}

    async def read(_: Settings) -> dict[str, bool]:
        return dict(said)

    monkeypatch.setattr(trunk_monitor, "read_registrations", read)
    return said


async def look(settings: Settings, ours: Redis, times: int) -> list[str]:
    """Look so often, as a worker that has just started; the open alerts."""
    missing: Set[str] = frozenset()
    for _ in range(times):
        missing = await check_trunks(settings, ours, missing)
    return [str(each) for each in await ours.hkeys(OPEN)]


async def test_a_trunk_that_fails_is_one_critical_alert(
    settings: Settings, ours: Redis, registrations: dict[str, bool]
) -> None:
    assert await look(settings, ours, 1) == []
    assert await look(settings, ours, 4) == [ABOUT]
    [group] = await read_open_alerts(ours)
    assert group.is_critical
    assert group.count == 1
    assert WallboardLabels(Translator("en")).alert(group) == (
        "Calls of an operator may not reach 111, its trunk is not registered: "
        "tell the administrator. Operator: beeline"
    )
    registrations["beeline"] = True
    assert await look(settings, ours, 1) == []


async def test_an_acknowledged_trunk_alerts_again_when_it_fails_anew(
    settings: Settings, ours: Redis, registrations: dict[str, bool]
) -> None:
    assert await look(settings, ours, 2) == [ABOUT]
    await close_alerts(ours, [ABOUT])
    assert await look(settings, ours, 2) == []  # it lasts
    registrations["beeline"] = True
    assert await look(settings, ours, 1) == []
    registrations["beeline"] = False
    assert await look(settings, ours, 2) == [ABOUT]


async def test_a_trunk_that_was_given_up_alerts_no_more(
    settings: Settings, ours: Redis, registrations: dict[str, bool]
) -> None:
    assert await look(settings, ours, 2) == [ABOUT]
    del registrations["beeline"]
    assert await look(settings, ours, 1) == []
    registrations["beeline"] = False  # taken up again, and not registered yet
    assert await look(settings, ours, 2) == [ABOUT]


async def test_without_asterisk_nothing_is_said_of_trunks(
    settings: Settings, ours: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asterisk, "CONNECT_TIMEOUT", 0.1)
    operators = {
        name: {"registrar": "sip:sip.example.kz", "user": "111"} for name in ("beeline", "kcell")
    }
    gone = with_free_ports(settings, operators=operators)
    await raise_alert(ours, TRUNK_UNREGISTERED, about=ABOUT)
    assert await check_trunks(gone, ours, frozenset(operators)) == frozenset()
    assert await ours.hkeys(OPEN) == [ABOUT]


@pytest.mark.usefixtures("registrations")
async def test_the_worker_looks_again_and_again(
    settings: Settings, ours: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk_monitor, "CHECK_INTERVAL", 0.05)
    [loop] = [each for each in offers(WorkerLoop) if each.key == "trunks"]
    running = asyncio.create_task(loop.run(WorkerResources(settings, engine), ours))
    try:

        async def is_open() -> bool:
            return await ours.hkeys(OPEN) == [ABOUT]

        await until(is_open, "the worker has alerted of the trunk")
    finally:
        running.cancel()
        await asyncio.wait((running,))
