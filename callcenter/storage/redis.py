"""Redis: what is true right now. Nothing here is lost when it is emptied: it is rebuilt."""

from redis.asyncio import ConnectionPool, Redis

from callcenter.settings import Settings


def open_redis(settings: Settings) -> Redis:
    """A client with its own pool; strings come back as str. Closed by `async with`, or `aclose`.

    A command takes a connection that is free, or a new one: waiting for one of a few costs a third
    of a command (docs/performance.md). The 257th at the same time fails, as when Redis has hung for
    a while: then each would wait in vain. A command has no limit of its own: callers set one with
    `asyncio.timeout`. The client's `socket_timeout` would do it with `asyncio.wait_for`, which on
    Python 3.11 swallows a cancellation that comes together with the answer: a call that was over
    would go on.
    """
    pool = ConnectionPool.from_url(
        settings.redis,
        max_connections=256,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=None,
        health_check_interval=0,
    )
    return Redis.from_pool(pool)
