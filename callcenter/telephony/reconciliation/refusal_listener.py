"""Listens to the SIP of Asterisk for refused calls, and saves them (docs/decisions/0088).

What a flood sends beyond the socket's buffer is lost, and so is what Asterisk sends while nobody
has the port: such calls are missing from the figures, as they all were before.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.rules.number import NumbersExhausted
from callcenter.platform.core.caller_id import CallerId
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import raise_alert_of_new
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.asterisk import hep
from callcenter.telephony.reconciliation import backfill, store
from callcenter.telephony.reconciliation.alerts import CALLS_REFUSED
from callcenter.telephony.reconciliation.refused_calls import (
    RefusedCall,
    RefusedCallFinder,
    may_concern,
)
from callcenter.telephony.reconciliation.store import RefusalCounts

log = logging.getLogger(__name__)

#: Appeals: one of a caller within this time, and no more than so many of all callers. The other
#: calls are counted only.
PERIOD, MOST_APPEALS = timedelta(hours=1), 100

SAVE_INTERVAL = 1.0  # seconds
RETRY_INTERVAL = 30.0  # seconds, after the port was in use: by another worker
BUFFER = 4 * 1024**2  # bytes of the socket, of which the kernel gives what it may
_LONGEST = 65_536  # bytes of a datagram
_AT_ONCE = 64  # datagrams, then other work has its turn
_GATHER_INTERVAL = 0.05  # seconds in which what a call says gathers, while less than that comes


class RefusalListener:
    """The listener of one worker. `run` may be called once."""

    def __init__(self, settings: Settings, engine: AsyncEngine, redis: Redis) -> None:
        self.listening = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._settings = settings
        self._engine = engine
        self._redis = redis
        self._finder = RefusedCallFinder(settings)
        self._calls: dict[CallerId, RefusedCall] = {}
        self._counts: RefusalCounts = Counter()
        self._unalerted: Counter[str] = Counter()  # calls by their trunk

    async def run(self) -> NoReturn:
        """Listen until cancelled; while the database is away, in bounded memory."""
        while True:
            try:
                password = read_secret(self._settings.secrets_folder, "hep")
                with self._socket() as sock:
                    sock.setblocking(False)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
                    self.listening.set()
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._keep_reading(sock, password))
                        tasks.create_task(self._keep_saving())
            except* (OperationFailed, OSError) as group:
                log.error("SIP of Asterisk not heard, trying again: %s", group.exceptions[0])
            await asyncio.sleep(RETRY_INTERVAL)

    def _socket(self) -> socket.socket:
        """The port's socket: of the one who holds it for us, else our own."""
        if self._settings.hep_socket is not None:
            return socket.fromfd(self._settings.hep_socket, socket.AF_INET, socket.SOCK_DGRAM)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(("127.0.0.1", self._settings.hep_port))
        except OSError:
            sock.close()
            raise
        return sock

    async def _keep_reading(self, sock: socket.socket, password: str) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            taken = self._take_waiting(sock, password)
            if not taken:  # only then: to wait for a socket costs as much as ten datagrams
                self._take(await loop.sock_recv(sock, _LONGEST), password)
            await asyncio.sleep(0 if taken == _AT_ONCE else _GATHER_INTERVAL)

    def _take_waiting(self, sock: socket.socket, password: str) -> int:
        """Take what waits in the socket, `_AT_ONCE` datagrams at most; returns how many."""
        for taken in range(_AT_ONCE):
            try:
                datagram = sock.recv(_LONGEST)
            except BlockingIOError:
                return taken
            self._take(datagram, password)
        return _AT_ONCE

    def _take(self, datagram: bytes, password: str) -> None:
        message = hep.parse(datagram, password) if may_concern(datagram) else None
        call = self._finder.take(message) if message else None
        if call is not None:
            self._note(call)

    def _note(self, call: RefusedCall) -> None:
        hour = call.at.replace(minute=0, second=0, microsecond=0)
        self._counts[hour, call.trunk, call.status] += 1
        self._unalerted[call.trunk] += 1
        if len(self._calls) < MOST_APPEALS:
            self._calls.setdefault(call.caller, call)
        self._unsaved.set()

    async def _keep_saving(self) -> NoReturn:
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(SAVE_INTERVAL)  # more may come, and is saved with it
            self._unsaved.clear()
            await self._alert_supervisors()  # first: the database may be away for long
            await self._save()

    async def _alert_supervisors(self) -> None:
        """Alert supervisors once an hour of each trunk; after a failure, again with the next."""
        unalerted, self._unalerted = self._unalerted, Counter()
        if not unalerted:
            return
        trunks = sorted(unalerted)
        log.error("calls refused by the switch: %d, from %s", unalerted.total(), ", ".join(trunks))
        try:
            within = int(PERIOD.total_seconds())
            await raise_alert_of_new(self._redis, CALLS_REFUSED, trunks, within)
        except (RedisError, OSError) as exc:
            log.error("alert of refused calls failed, trying again: %s", type(exc).__name__)
            self._unalerted += unalerted
            self._unsaved.set()

    async def _save(self) -> None:
        calls, counts = self._calls, self._counts
        self._calls, self._counts = {}, Counter()
        if not counts:
            return
        try:
            async with unit_of_work(self._engine) as connection:
                await save(connection, self._settings.spool, calls.values(), counts)
        except (OperationFailed, SQLAlchemyError, OSError) as exc:
            log.error("refused calls not saved, trying again: %s", type(exc).__name__)
            self._counts += counts
            self._calls = calls | self._calls
            self._unsaved.set()


async def save(
    connection: AsyncConnection,
    spool: Path,
    calls: Iterable[RefusedCall],
    counts: RefusalCounts,
) -> None:
    """Count refused calls, and open and close the appeals of callers who have none yet.

    A call whose appeal cannot be, however often it is tried, is counted only.
    """
    callers = await store.find_refused_callers(connection, datetime.now(UTC) - PERIOD)
    for call in calls:
        if call.caller in callers or len(callers) >= MOST_APPEALS:
            continue
        try:
            async with connection.begin_nested():
                await backfill.settle(connection, spool, call.as_call())
        except NumbersExhausted as exc:
            log.critical("appeals of refused calls not opened: %s", exc)
            break
        except (IntegrityError, DataError):
            log.exception("refused call not saved: %s", call.call_id)
        else:
            callers.add(call.caller)
    await store.count_refused(connection, counts)
