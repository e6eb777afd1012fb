"""Each process works in Redis with the least commands and keys."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from callcenter.commands.check import CHECKS, examine
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import TEXT, next_offers
from callcenter.consultants.rules.states import PresenceState
from callcenter.launcher.redis_rights import COMMANDS, rules, user_lines
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.telephony.acd.queue_position import SCRIPT
from tests.persisted.distributor_state import fill

CONTROLLER, WORKER, WEB, WATCHDOG = RedisUser

#: What no process may do.
NOBODY = (
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET save",
    "CONFIG SET maxmemory 1",
    "ACL LIST",
    "ACL SETUSER callcenter_web +@all",
    "MONITOR",
    "SHUTDOWN NOSAVE",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "REPLICAOF 192.0.2.1 6379",
    "MODULE LIST",
    "FUNCTION FLUSH",
    "SCRIPT FLUSH",
    "SCAN 0",
    "DUMP desk:states",
    "RENAME desk:states desk:other",
    "SET another 1",
    "PUBLISH news 1",
    "SWAPDB 0 1",
)
#: What who serves no calls is kept from: to order, to read orders, to make a call another's.
OUTSIDE_CALLS = (
    "RPUSH orders:line-1.0123abcd order",
    "RPUSH orders:anybody order",
    "BLPOP orders:line-1.0123abcd 1",
    "GET call:where:1764000000.1",
    "SET call:where:1764000000.1 {}",
)
OF_CONTROLLER = (
    "LRANGE orders:line-1.0123abcd 0 -1",
    "XDEL desk:changes 1-1",
)
OF_WORKER = (
    *OUTSIDE_CALLS,
    "EVAL return 0",
    "SCRIPT LOAD return",
    "HSET desk:states 201 ready",
    "HGETALL desk:holders",
    "ZADD desk:waiting 1 1764000000.1",
    "RPUSH desk:offers:line-1.0123abcd offer",
    "BLPOP orders:answer:0f0f 1",
)
OF_WEB = (
    "BLPOP orders:line-1.0123abcd 1",
    "BLPOP orders:anybody 1",
    "LRANGE orders:line-1.0123abcd 0 -1",
    "GET call:where:1764000000.1",
    "SET call:where:1764000000.1 {}",
    "XDEL desk:changes 1-1",
)
OF_WATCHDOG = (
    *OUTSIDE_CALLS,
    "RPUSH orders:answer:0f0f answer",
    "DEL desk:alarms",
    "HDEL desk:alarms:open urgent",
    "SET desk:alarmed:disk 1",
)


@pytest.mark.parametrize(
    ("user", "more"),
    [
        (CONTROLLER, OF_CONTROLLER),
        (WORKER, OF_WORKER),
        (WEB, OF_WEB),
        (WATCHDOG, OF_WATCHDOG),
    ],
)
async def test_a_process_is_refused_what_it_needs_not(
    redis: Redis, settings: Settings, user: RedisUser, more: Sequence[str]
) -> None:
    done = []
    async with open_redis(as_redis_user(settings, user)) as ours:
        assert await ours.ping()
        run: Callable[..., Awaitable[object]] = ours.execute_command
        for command in (*NOBODY, *more):
            try:
                await run(*command.split())
                done.append(command)
            except NoPermissionError:
                continue
    assert done == []


def test_every_command_of_the_scripts_is_allowed_where_they_run() -> None:
    in_scripts = {each.lower() for each in re.findall(r"redis\.p?call\(\s*'(\w+)'", TEXT + SCRIPT)}
    for user in (CONTROLLER, WEB, WATCHDOG):
        assert in_scripts <= set(COMMANDS[user].split())


async def test_processes_do_their_work_in_redis(redis: Redis, settings: Settings) -> None:
    async with open_redis(as_redis_user(settings, CONTROLLER)) as controller:
        await fill(controller)
    for user in (CONTROLLER, WEB, WATCHDOG):
        async with open_redis(as_redis_user(settings, user)) as ours:
            await PresenceService(ours, settings).ask("203", PresenceState.SIGNED_OUT, by="self")
    for user in (CONTROLLER, WATCHDOG):
        async with open_redis(as_redis_user(settings, user)) as ours:
            assert await next_offers(ours, "nobody", 0.01) == []


async def test_nobody_is_a_redis_user_without_its_password(
    redis: Redis, settings: Settings
) -> None:
    for user in RedisUser:
        for other in {*RedisUser} - {user}:
            url = as_redis_user(settings, user).redis.replace(user, other)
            async with Redis.from_url(url) as stranger:
                with pytest.raises(RedisError, match="invalid username-password"):
                    await stranger.ping()


def test_a_process_without_a_password_logs_in_as_before(settings: Settings) -> None:
    for user in RedisUser:
        (settings.secrets_folder / user.secret).unlink()
        assert as_redis_user(settings, user) is settings


async def test_check_tells_of_users_with_other_rules(redis: Redis, settings: Settings) -> None:
    look = partial(asyncio.to_thread, examine, CHECKS["servers"]["users"], settings)
    assert await look() == ("ok", "each process logs in as its own user")
    run: Callable[..., Awaitable[object]] = redis.execute_command
    await run("ACL", "SETUSER", WORKER, "+get")
    try:
        state, words = await look()
        assert (state, "the rules of callcenter_worker are others" in words) == ("BAD", True)
    finally:
        await run("ACL", "SETUSER", WORKER, *rules(WORKER).split())
    assert (await look())[0] == "ok"
    (settings.secrets_folder / WEB.secret).write_text("another\n")
    assert "callcenter_web cannot log in" in (await look())[1]
    (settings.secrets_folder / WEB.secret).unlink()
    assert (await look())[0] == "warn"


def test_users_for_a_redis_of_ones_own_are_printed(redis_url: str, settings: Settings) -> None:
    """Twice the same, with passwords that are made and not shown."""
    (settings.secrets_folder / WEB.secret).unlink()
    first, again = user_lines(settings), user_lines(settings)
    assert first == again
    password = read_secret(settings.secrets_folder, WEB.secret)
    assert password not in "".join(first)
    [line] = [line for line in first if line.startswith(f"user {WEB} on #")]
    assert line.endswith(rules(WEB))
