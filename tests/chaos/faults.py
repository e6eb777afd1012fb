"""The faults, each with what ends it as `callcenter up` or the operator would."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from tests.bench.overload import busy_loops
from tests.calls.call_center import CallCenter
from tests.calls.faulty_controllers import BLOCKED, block, hang, no_memory_for
from tests.calls.network import Network
from tests.calls.processes import ControllerProgram, OwnPostgres, OwnRedis, Process
from tests.calls.tcp_proxies import EventRelay, SlowServers, delivered_twice, passed_on, swallowed

T = TypeVar("T")
AGAIN = 0.5  # seconds after which a dead part is started again
FROZEN = 10.0
LOOPS = 4


@dataclass
class Parts:
    """What can be made to fail."""

    call_center: CallCenter
    lines: list[ControllerProgram]
    worker: Process
    postgres: OwnPostgres
    redis: OwnRedis
    frozen: float = FROZEN  #: seconds for which a part does nothing
    relay: EventRelay | None = None  #: of the first line's events
    way: Network | None = None  #: between the second line and Asterisk
    slow: SlowServers | None = None  #: between the lines and both servers

    async def revive(self) -> None:
        """Start what has ended, as whoever runs it does."""
        for line in self.lines:
            if line.has_ended:
                await line.start()


class NotTried(Exception):
    """This fault cannot be made here; the message says why."""


async def controller_killed(parts: Parts) -> None:
    await parts.lines[0].kill()
    await asyncio.sleep(AGAIN)


async def all_controllers_killed(parts: Parts) -> None:
    await asyncio.gather(*(line.kill() for line in parts.lines))
    await asyncio.sleep(AGAIN)


async def controller_frozen(parts: Parts) -> None:
    """Its sentinel kills it, and its peer takes its calls over; then it is started again."""
    parts.lines[1].pause()
    await asyncio.sleep(parts.frozen)
    with suppress(ProcessLookupError):
        parts.lines[1].go_on()


async def controller_blocked(parts: Parts) -> None:
    block(parts.lines[0])
    await asyncio.sleep(BLOCKED)


async def controller_hanging(parts: Parts) -> None:
    """For good: its sentinel kills it."""
    hang(parts.lines[0])
    while not parts.lines[0].has_ended:
        await asyncio.sleep(0.05)


async def overload(parts: Parts) -> None:
    """Others want both processors, and more."""
    with busy_loops(LOOPS):
        await asyncio.sleep(parts.frozen)


async def controller_out_of_memory(parts: Parts) -> None:
    try:
        with no_memory_for(parts.lines[0]):
            while not parts.lines[0].has_ended:
                await asyncio.sleep(0.05)
    except OSError as exc:
        raise NotTried(f"this machine lets nobody limit memory: {exc}") from exc


async def controller_deaf(parts: Parts) -> None:
    """Asterisk answers it, and tells it nothing."""
    relay = _needed(parts.relay, "no relay of events")
    relay.fate = swallowed
    await asyncio.sleep(parts.frozen)
    relay.fate = passed_on


async def events_twice(parts: Parts) -> None:
    relay = _needed(parts.relay, "no relay of events")
    relay.fate = delivered_twice
    await asyncio.sleep(parts.frozen / 2)
    relay.fate = passed_on


async def connection_half_open(parts: Parts) -> None:
    relay = _needed(parts.relay, "no relay of events")
    relay.flows.clear()
    await asyncio.sleep(parts.frozen)
    relay.flows.set()


async def network_cut(parts: Parts) -> None:
    way = _needed(parts.way, "this machine lets nobody make a network")
    way.cut()
    await asyncio.sleep(parts.frozen)
    way.mend()


async def worker_killed(parts: Parts) -> None:
    await parts.worker.kill()
    await asyncio.sleep(AGAIN)
    await parts.worker.start()


async def postgresql_restarted(parts: Parts) -> None:
    await asyncio.to_thread(parts.postgres.stop)
    await asyncio.to_thread(parts.postgres.start)
    await parts.worker.kill()  # it ends without a database; whoever started it starts it again
    await parts.worker.start()


async def postgresql_frozen(parts: Parts) -> None:
    await asyncio.to_thread(parts.postgres.pause)
    await asyncio.sleep(parts.frozen)
    await asyncio.to_thread(parts.postgres.go_on)


async def postgresql_slow(parts: Parts) -> None:
    """Ten seconds a query."""
    slow = _needed(parts.slow, "no relay of servers").postgres
    slow.delay = 10.0
    await asyncio.sleep(parts.frozen)
    slow.delay = 0.0


async def redis_killed(parts: Parts) -> None:
    await parts.redis.kill()
    await asyncio.sleep(AGAIN)
    await parts.redis.start()


async def redis_emptied(parts: Parts) -> None:
    await parts.call_center.redis.flushall()


async def redis_slow(parts: Parts) -> None:
    slow = _needed(parts.slow, "no relay of servers").redis
    slow.delay = 1.0
    await asyncio.sleep(parts.frozen)
    slow.delay = 0.0


async def asterisk_killed(parts: Parts) -> None:
    """All its calls are cut, which no software can mend."""
    await parts.call_center.switch.kill()
    await asyncio.sleep(AGAIN)
    await parts.call_center.switch.start()


def _needed(part: T | None, why: str) -> T:
    if part is None:
        raise NotTried(why)
    return part


Fault = Callable[[Parts], Awaitable[None]]
FAULTS: list[Fault] = [
    controller_killed,
    all_controllers_killed,
    controller_frozen,
    controller_blocked,
    controller_hanging,
    overload,
    controller_out_of_memory,
    controller_deaf,
    events_twice,
    connection_half_open,
    network_cut,
    worker_killed,
    postgresql_restarted,
    postgresql_frozen,
    postgresql_slow,
    redis_killed,
    redis_emptied,
    redis_slow,
    asterisk_killed,
]
