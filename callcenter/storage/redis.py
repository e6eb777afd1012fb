"""Redis: what is true right now. Nothing here is lost when it is emptied: it is rebuilt."""

from redis.asyncio import BlockingConnectionPool, Redis

from callcenter.settings import Settings


def open_redis(settings: Settings) -> Redis:
    """A client with its own pool; strings come back as str. `await client.aclose()` at the end.

    At most 16 connections; further commands wait for one of them. A command has no limit of its
    own: callers set one with `asyncio.timeout`. The client's `socket_timeout` would do it with
    `asyncio.wait_for`, which on Python 3.11 swallows a cancellation that comes together with the
    answer: a call that was over would go on.
    """
    pool = BlockingConnectionPool.from_url(
        settings.redis,
        max_connections=16,
        timeout=5,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=None,
        health_check_interval=0,
    )
    return Redis.from_pool(pool)
