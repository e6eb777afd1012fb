"""Asterisk that answers no SIP is one alert, until it answers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.telephony.asterisk import sip_probe
from callcenter.telephony.controller import sip_monitor
from callcenter.telephony.controller.sip_monitor import check_sip
from callcenter.wallboard.store import read_open_alerts
from tests.polling import LIMIT, until

KEY = "sip_unanswered"
BRIEFLY = (0.01, 0.01)  # seconds


@pytest.fixture(autouse=True)
def patient_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a busy machine does not reach."""
    monkeypatch.setattr(sip_monitor, "REDIS_TIMEOUT", LIMIT)
    monkeypatch.setattr(sip_probe, "REPEAT_AFTER", (LIMIT,))


@pytest.fixture
def here(settings: Settings) -> Settings:
    """Settings by which SIP is at a port that nobody has."""
    return settings.model_copy(update={"sip_port": free_port(socket.SOCK_DGRAM)})


class Peer(asyncio.DatagramProtocol):
    """Gets requests; answers as it is made to."""

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self._answer, self.requests = answer, list[bytes]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests.append(data)
        if (answer := self._answer(len(self.requests))) is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def peer(settings: Settings, answer: Callable[[int], bytes | None]) -> AsyncIterator[Peer]:
    """Somebody at the port of SIP; `answer` says what to the n-th request."""
    loop = asyncio.get_running_loop()
    transport, at_port = await loop.create_datagram_endpoint(
        lambda: Peer(answer), local_addr=("127.0.0.1", settings.sip_port)
    )
    try:
        yield at_port
    finally:
        transport.close()


async def look(settings: Settings, ours: Redis, times: int) -> list[str]:
    """Look so often, as a worker that has just started; the open alerts."""
    answered = True
    for _ in range(times):
        answered = await check_sip(settings, ours, answered)
    return [str(each) for each in await ours.hkeys(OPEN)]


async def test_an_unanswered_asterisk_is_one_alert_until_it_answers(
    here: Settings, ours: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sip_probe, "REPEAT_AFTER", BRIEFLY)
        assert await look(here, ours, 1) == []  # nobody is there
        async with peer(here, lambda _: None) as hanging:
            assert await look(here, ours, 1) == []
            assert await look(here, ours, 4) == [KEY]
            assert len(set(hanging.requests)) == 5  # each is another: no old answer will do
    [group] = await read_open_alerts(ours)
    assert (group.is_critical, group.count) == (True, 1)
    async with peer(here, lambda _: b"SIP/2.0 401 Unauthorized\r\n\r\n"):
        assert await look(here, ours, 1) == []


async def test_a_request_that_was_lost_is_sent_again(
    here: Settings, ours: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip_probe, "REPEAT_AFTER", (*BRIEFLY, LIMIT))
    answers = {1: None, 2: b"OPTIONS sip:111@127.0.0.1 SIP/2.0\r\n\r\n"}
    async with peer(here, lambda nth: answers.get(nth, b"SIP/2.0 200 OK\r\n\r\n")):
        assert await check_sip(here, ours, True)


async def test_the_worker_looks_again_and_again(
    here: Settings, ours: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip_monitor, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(sip_probe, "REPEAT_AFTER", BRIEFLY)
    [loop] = [each for each in offers(WorkerLoop) if each.key == "sip"]
    running = asyncio.create_task(loop.run(WorkerResources(here, engine), ours))
    try:

        async def is_open() -> bool:
            return await ours.hkeys(OPEN) == [KEY]

        await until(is_open, "the worker has alerted that nobody can call in")
    finally:
        running.cancel()
        await asyncio.wait((running,))
