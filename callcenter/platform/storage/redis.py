"""Redis: volatile state, which is rebuilt when Redis was emptied."""

import asyncio
import logging
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.credentials import CredentialProvider
from redis.exceptions import NoPermissionError, RedisError

from callcenter.platform.core.errors import CallcenterError, DependencyUnavailable
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.script_connection import ScriptingRedis

log = logging.getLogger(__name__)

REDIS = "redis"  #: the secret with which people's commands log in to the Redis of `callcenter up`
CONNECT_TIMEOUT = 10.0  # seconds; counts our own lateness, so more than any caller's own limit
START_TIMEOUT = 1.0  # seconds that a process waits at its start for what Redis says of itself


def open_redis(settings: Settings) -> Redis:
    """A client with its own pool; strings are str. Closed by `async with`, or `aclose`.

    A command takes a connection that is free, or a new one: waiting for one of a few costs a third
    of a command (docs/performance.md). The 257th at the same time fails, as when Redis has hung for
    a while: then each would wait in vain. A command has no limit of its own: callers set one with
    `answer_within`. The client's `socket_timeout` would do it with `asyncio.wait_for`, which on
    Python 3.11 swallows a cancellation that comes together with the answer: a call that was over
    would go on.
    """
    return _open(settings.redis, None if settings.redis_url else _OwnPassword(settings))


def _open(url: str, credentials: CredentialProvider | None = None) -> Redis:
    """A client of this URL, which has the credentials if others are not given."""
    pool = ConnectionPool.from_url(
        url,
        credential_provider=credentials,
        max_connections=256,
        decode_responses=True,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=None,
        health_check_interval=0,
    )
    return ScriptingRedis.from_pool(pool)


class _OwnPassword(CredentialProvider):
    """The password of the Redis of `callcenter up`, read at each connection.

    Its first start makes it: before, there is none to connect with.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.secrets_folder

    def get_credentials(self) -> tuple[str]:
        try:
            return (read_secret(self._folder, REDIS),)
        except CallcenterError as exc:
            raise RedisError(str(exc)) from exc

    async def get_credentials_async(self) -> tuple[str]:
        return self.get_credentials()


async def refuse_eviction(redis: Redis) -> None:
    """Refuse, at the start of a process, a Redis that evicts keys when its memory is full.

    All is rebuilt when Redis was emptied, but keys that vanish one by one would be missed by
    nobody: consultants and callers are forgotten. A Redis that does not answer is not refused:
    callers are served without. Raises DependencyUnavailable.
    """
    try:
        async with asyncio.timeout(START_TIMEOUT):
            eviction = await find_eviction(redis)
    except (RedisError, OSError, TimeoutError) as exc:
        log.warning("redis not examined: %s", str(exc) or "no answer")
        return
    if eviction:
        raise DependencyUnavailable(eviction)


async def find_eviction(redis: Redis) -> str | None:
    """The fault and remedy of a Redis that evicts keys. Raises RedisError, OSError."""
    memory = await redis.info("memory")
    limit, policy = memory.get("maxmemory", 0), memory.get("maxmemory_policy")
    if not limit or policy == "noeviction":
        return None
    return (
        f"Redis evicts keys when its {limit / 1024**2:.0f} MiB are full (maxmemory-policy "
        f"{policy}), and callers would be forgotten: set maxmemory-policy to noeviction"
    )


async def find_openness(settings: Settings) -> str | None:
    """The fault and remedy of a Redis that anybody who reaches it can read and change.

    Asks it without our credentials; with them it has just answered.
    """
    async with _open(without_credentials(settings.redis)) as stranger:
        try:
            await stranger.ping()
        except RedisError:  # that it does not know us, under one name or another
            return None
    return (
        "Redis asks nobody for a password, and whoever reaches it changes who is called and which "
        "calls wait: give it one, and put it into CALLCENTER_REDIS_URL (docs/operations/running.md)"
    )


def without_credentials(url: str) -> str:
    """The URL of a Redis without the name and password of who logs in."""
    place = urlsplit(url)
    credentials = ("username", "password")
    query = urlencode([each for each in parse_qsl(place.query) if each[0] not in credentials])
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}{place.path}?{query}"


async def find_snapshots(redis: Redis) -> str | None:
    """The fault and remedy of a Redis that keeps its content. Raises RedisError, OSError."""
    try:
        config = await redis.config_get("save", "appendonly")
    except NoPermissionError:
        return 'whether Redis keeps snapshots is not told to us (CONFIG GET): see that save is ""'
    if not config.get("save") and config.get("appendonly") != "yes":
        return None
    return (
        "Redis keeps its content (save, appendonly), and would come back with callers and "
        'consultants of before: set save "" and appendonly no'
    )
