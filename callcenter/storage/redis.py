"""Redis: what is true right now. Nothing here is lost when it is emptied: it is rebuilt."""

from redis.asyncio import Redis

from callcenter.settings import Settings


def open_redis(settings: Settings) -> Redis:
    """A client with its own pool; strings come back as str. `await client.aclose()` at the end.

    A command that is not answered within 5 seconds raises redis.TimeoutError, so a blocking
    command must ask for less.
    """
    return Redis.from_url(
        settings.redis,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=15,
    )
