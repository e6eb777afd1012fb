"""Redis client that runs scripts by one connection: sent at once, answered in their order.

Each of a live call's steps is a script. By the pool it costs twice the CPU (docs/performance.md): a
connection is taken, examined, used by this command alone and given back.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError, ResponseError

SILENCE_LIMIT = 2.0  # seconds; a script whose caller gave up, unanswered for so long: it hangs
MOST_PENDING = 256  # scripts under way; more go by the pool, which has its own limit


class ScriptingRedis(Redis):
    """Client whose scripts share a connection, and go by the pool while there is none."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._scripts = _ScriptConnection(self.connection_pool)

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        if command[0] == "EVALSHA":
            # Lost before the answer, it is sent once more, as the pool itself does.
            with suppress(NotConnected):
                return await self._scripts.run(command)
        return await super().execute_command(*command, **options)  # type: ignore[no-untyped-call]

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self._scripts.close()
        await super().aclose(close_connection_pool)


class _Pending(NamedTuple):
    """A script on its way, sent then by the clock of the loop."""

    sent_at: float
    answer: asyncio.Future[Any]


class _ScriptConnection:
    """The shared connection: made when it is needed, in the background."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None
        self._pending: deque[_Pending] = deque()
        self._serving: asyncio.Task[None] | None = None

    async def run(self, command: tuple[Any, ...]) -> Any:
        """Run a script; cancelling forgets its answer.

        Raises ConnectionError when there is no connection, or it was lost, and ResponseError.
        """
        now = asyncio.get_running_loop().time()
        connection = await self._usable_connection(now)
        pending = _Pending(now, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        try:
            # It is written before anything else has its turn: answers come in this order.
            await connection.send_command(*command, check_health=False)
            return await pending.answer
        finally:
            pending.answer.cancel()  # nobody waits for it any more

    async def close(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)

    async def _usable_connection(self, now: float) -> AbstractConnection:
        connection = self._connection
        if connection is None or not connection.is_connected:
            if self._serving is None or self._serving.done():
                self._serving = asyncio.create_task(self._serve(), name="scripts of Redis")
            raise NotConnected("not connected")
        if len(self._pending) >= MOST_PENDING:
            raise NotConnected("too many scripts under way")
        if self._pending:
            oldest = self._pending[0]
            if oldest.answer.done() and now - oldest.sent_at > SILENCE_LIMIT:
                await connection.disconnect(nowait=True)
                raise NotConnected("silent")
        return connection

    async def _serve(self) -> None:
        """Connect, and take in answers until the connection is lost."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._connection = connection
            while True:
                await self._take_answer(connection)
        except (RedisError, OSError):
            return  # by the pool whoever runs a script is told why
        finally:
            self._connection = None
            for each in self._pending:
                if not each.answer.done():
                    each.answer.set_exception(NotConnected("the connection was lost"))
            self._pending.clear()
            await connection.disconnect(nowait=True)

    async def _take_answer(self, connection: AbstractConnection) -> None:
        fault, found = None, None
        try:
            found = await connection.read_response()
        except ResponseError as exc:
            fault = exc
        answer = self._pending.popleft().answer
        if answer.done():
            return
        if fault is None:
            answer.set_result(found)
        else:
            answer.set_exception(fault)
