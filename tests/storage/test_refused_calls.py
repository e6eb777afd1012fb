"""What the register, the figures and supervisors get of calls that Asterisk refused."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.rules.number import LAST_SEQUENCE
from callcenter.bootstrap.metrics import WorkerMetrics
from callcenter.launcher.port_check import hep_port, hold_port, with_free_ports
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.reconciliation.refusal_listener import (
    MOST_APPEALS,
    RefusalListener,
)
from tests.appeals import numbers_given
from tests.sip_capture import answer, datagram, invite

FLOOD = 10_000
BACKLOG = 256 * 1024  # bytes, which the least buffer that a kernel gives has room for


@pytest.fixture
def here(settings: Settings) -> Settings:
    return with_free_ports(settings)


@asynccontextmanager
async def listening(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> AsyncIterator[RefusalListener]:
    listener = RefusalListener(settings, engine, redis)
    task = asyncio.create_task(listener.run())
    await listener.listening.wait()
    yield listener
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def refused(engine: AsyncEngine) -> list[tuple[str, str | None, str, str]]:
    """Kind and number of the caller, outcome, and why: of each appeal."""
    query = """
        SELECT caller_kind, caller_number, outcome, detail->>'why'
        FROM appeal JOIN appeal_event AS event ON appeal.id = event.appeal_id
        WHERE event.kind = 'refused' AND appeal.channel = 'call' ORDER BY received_at
    """
    async with unit_of_work(engine) as connection:
        return [(r[0], r[1], r[2], r[3]) for r in await connection.execute(text(query))]


async def counted(engine: AsyncEngine) -> dict[int, int]:
    """The counts by the status of SIP."""
    query = text("SELECT status, sum(calls) FROM refused_call GROUP BY status")
    async with unit_of_work(engine) as connection:
        return {status: int(calls) for status, calls in await connection.execute(query)}


async def until_counted(engine: AsyncEngine, calls: int, status: int = 488) -> None:
    """Return once so many calls were refused with this status; fail after 20 s."""
    async with asyncio.timeout(20):
        while (await counted(engine)).get(status, 0) < calls:
            await asyncio.sleep(0.05)


class Asterisk:
    """Sends what Asterisk would."""

    def __init__(self, settings: Settings) -> None:
        self._password = read_secret(settings.secrets_folder, "hep")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", settings.hep_port))

    def refuse(self, call_id: str, number: str, *, also: str = "", status: int = 488) -> None:
        for payload in (invite(call_id, number=number, also=also), answer(call_id, status)):
            self.sock.send(datagram(payload, password=self._password))


@pytest.fixture
def asterisk(here: Settings) -> Iterator[Asterisk]:
    sender = Asterisk(here)
    with sender.sock:
        yield sender


async def test_a_refused_call_is_registered_once_and_alerts(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    async with listening(here, engine, redis):
        for call_id in ("1", "1", "2"):  # sent again, and tried again by the same caller
            asterisk.refuse(call_id, "+77010000001")
        asterisk.refuse("3", "+77010000002", also="Privacy: id")
        await until_counted(engine, 3)
    assert sorted(await refused(engine), key=str) == [
        ("number", "+77010000001", "lost_to_a_fault", "no_codec"),
        ("withheld", None, "lost_to_a_fault", "no_codec"),
    ]
    assert await counted(engine) == {488: 3}
    assert await redis.hgetall("desk:alarm_counts") == {"calls_refused": "1"}
    metrics = await WorkerMetrics(here, engine, redis).figures()
    (of_trunks,) = (each for each in metrics if each.name == "callcenter_refused_calls")
    assert [(s.labels, s.value) for s in of_trunks.samples] == [({"trunk": "operator"}, 3.0)]


async def test_after_an_hour_the_caller_has_another_appeal(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    async with listening(here, engine, redis):
        asterisk.refuse("1", "+77010000001")
        await until_counted(engine, 1)
        async with unit_of_work(engine) as connection:
            earlier = {"then": datetime.now(UTC) - timedelta(minutes=61)}
            await connection.execute(text("UPDATE appeal SET received_at = :then"), earlier)
        asterisk.refuse("2", "+77010000001")
        await until_counted(engine, 2)
    assert len(await refused(engine)) == 2


async def test_a_port_that_another_holds_for_us_is_heard(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    with hold_port(hep_port(here)) as held:
        given = here.model_copy(update={"hep_socket": held.fileno()})
        for number in range(2):  # the second worker hears what came between them
            asterisk.refuse(f"{number}", "+77010000001")
            async with listening(given, engine, redis):
                await until_counted(engine, number + 1)


async def alerted(redis: Redis) -> None:
    """Return once supervisors were alerted, and no more than once; fail after 20 s."""
    async with asyncio.timeout(20):
        while not (counts := await redis.hgetall("desk:alarm_counts")):
            await asyncio.sleep(0.05)
    assert counts == {"calls_refused": "1"}


async def test_without_a_number_left_calls_are_counted_and_alert(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    async with listening(here, engine, redis):
        async with unit_of_work(engine) as connection:
            await numbers_given(connection, LAST_SEQUENCE - 1, datetime.now(UTC))
        for number in range(3):
            asterisk.refuse(f"{number}", f"+7701000000{number}")
        await until_counted(engine, 3)
        await alerted(redis)
    assert len(await refused(engine)) == 1


async def test_what_cannot_be_saved_yet_alerts_once(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    async with listening(here, engine, redis):
        async with unit_of_work(engine) as connection:
            await connection.execute(text("ALTER TABLE refused_call RENAME TO refused_call_away"))
        try:
            asterisk.refuse("1", "+77010000001")
            await alerted(redis)
        finally:
            async with unit_of_work(engine) as connection:
                await connection.execute(
                    text("ALTER TABLE refused_call_away RENAME TO refused_call")
                )
        await until_counted(engine, 1)
        await alerted(redis)
    assert len(await refused(engine)) == 1


async def test_an_alert_that_failed_is_raised_later(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    await redis.set("desk:alarm_counts", "nothing that can be counted in")
    async with listening(here, engine, redis):
        asterisk.refuse("1", "+77010000001")
        await until_counted(engine, 1)
        await redis.delete("desk:alarm_counts")
        await alerted(redis)


async def read(port: int) -> None:
    """Return once the listener has read so much that nothing is lost; fail after 20 s."""
    async with asyncio.timeout(20):
        await asyncio.sleep(0)
        while unread(port) > BACKLOG:
            await asyncio.sleep(0.001)


def unread(port: int) -> int:
    """Bytes of memory in which datagrams wait at a UDP port of this machine."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        _, local, _, _, queues, *_ = line.split()
        if int(local.partition(":")[2], 16) == port:
            return int(queues.partition(":")[2], 16)
    raise AssertionError(f"nobody listens at {port}")


async def test_a_flood_leaves_few_rows(
    here: Settings, asterisk: Asterisk, engine: AsyncEngine, redis: Redis
) -> None:
    async with listening(here, engine, redis):
        for number in range(FLOOD):
            asterisk.refuse(f"{number}", f"+7701{number:07}")
            if number % 20 == 0:
                await read(here.hep_port)
        async with asyncio.timeout(30):
            while 606 not in (counts := await counted(engine)):
                asterisk.refuse("the last", "+77010000001", status=606)
                await asyncio.sleep(0.05)
    assert counts == {488: FLOOD, 606: 1}
    async with unit_of_work(engine) as connection:
        rows = await connection.scalar(text("SELECT count(*) FROM refused_call"))
    assert rows in (2, 3)  # an hour may end meanwhile
    assert len(await refused(engine)) == MOST_APPEALS
