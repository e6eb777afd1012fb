"""Scripts of Redis by one connection: each gets its own answer, whatever happens to the others."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import open_redis
from tests.services import new_folder, redis_server

ECHO = "if ARGV[1] == 'fails' then return redis.error_reply('REFUSED') end return ARGV[1]"


@pytest.fixture
async def redis(short_folder: Path, settings: Settings) -> AsyncIterator[Redis]:
    """A client of a Redis of this test alone, whose scripts have their connection."""
    with redis_server(new_folder(short_folder / "redis")) as url:
        changed = settings.model_dump() | {"redis_url": url}
        async with open_redis(Settings(_env_file=None, **changed)) as opened:
            await echo(opened, "first")  # by the pool, for there is no other yet
            await has_connections(opened, 2)
            yield opened


async def echo(redis: Redis, word: str) -> str:
    return str(await redis.register_script(ECHO)(args=[word]))


async def has_connections(redis: Redis, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await redis.client_list()) != count:
            await asyncio.sleep(0.01)


async def test_scripts_at_once_share_a_connection(redis: Redis) -> None:
    words = [str(number) for number in range(100)]
    assert await asyncio.gather(*(echo(redis, word) for word in words)) == words
    assert len(await redis.client_list()) == 2


async def test_the_error_of_a_script_is_its_own(redis: Redis) -> None:
    found = await asyncio.gather(
        *(echo(redis, word) for word in ("one", "fails", "two")), return_exceptions=True
    )
    assert isinstance(found[1], ResponseError)
    assert found[::2] == ["one", "two"]


async def test_scripts_go_on_when_their_connection_is_killed(redis: Redis) -> None:
    await redis.client_kill_filter(skipme=True)
    assert await echo(redis, "next") == "next"
    await has_connections(redis, 2)


async def test_nobody_gets_the_answer_of_who_gave_up(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = int((await redis.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await echo(redis, "given up")
        waiting = asyncio.create_task(echo(redis, "patient"))
        await asyncio.sleep(0)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert await waiting == "patient"
    assert await echo(redis, "next") == "next"


async def test_a_silent_connection_is_made_anew(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.platform.storage.script_connection.SILENCE_LIMIT", 0.0)
    pid = int((await redis.info("server"))["process_id"])
    before = {each["id"] for each in await redis.client_list()}
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):  # the second finds that nobody answered the first
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await echo(redis, "given up")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert await echo(redis, "next") == "next"
    assert {each["id"] for each in await redis.client_list()} - before
