"""Redis frozen, or started from a snapshot: nobody is offered by what it knew before."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.jobs import keep_history
from callcenter.consultants.presence import CHANGES, PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener, Subscription
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.controller.presence_sync import PresenceSync
from tests.consultants.distributors import (
    FREE,
    PATIENCE,
    SIGN_IN,
    TALKING,
    distributor_and_presence,
)
from tests.polling import until
from tests.services import new_folder, redis_server

SOON = 5.0  # seconds: one push may have begun to wait in vain, the next follows a second later


async def telephones() -> Mapping[str, str]:
    return {f"PJSIP/{extension}": FREE for extension in ("201", "202", "203")}


@asynccontextmanager
async def at_work(
    url: str,
    engine: AsyncEngine,
    changes: Subscription,
    states: Callable[[], Awaitable[Mapping[str, str]]] = telephones,
) -> AsyncIterator[tuple[Redis, RedisCallDistributor, PresenceSync]]:
    """A controller's part of it, which sends what there is when `changes` is notified."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        distributor = RedisCallDistributor(redis, "line-1", SIGN_IN)
        sync = PresenceSync(distributor, RedisQueueMonitor(redis), engine, states, changes)
        distributor.on_empty(sync.refresh)
        async with running(sync.run()):
            yield redis, distributor, sync


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_filled(redis: Redis) -> None:
    """Returns once Redis knows all telephones, which come after the roster."""

    async def knows() -> bool:
        return await redis.hlen("desk:devices") == len(await telephones())

    await until(knows, "Redis knows everybody")


async def save_history(redis: Redis, engine: AsyncEngine) -> None:
    saving = asyncio.create_task(keep_history(PresenceService(redis, SIGN_IN), engine))
    async with asyncio.timeout(PATIENCE):
        while await redis.xlen(CHANGES):
            await asyncio.sleep(0.01)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)


async def add_crew(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        for extension in ("201", "202", "203"):
            await store.add(
                connection, extension=extension, name="Aigul", languages=["kk"], digest="0" * 32
            )


async def test_an_old_snapshot_offers_nobody_who_signed_out(
    engine: AsyncEngine, short_folder: Path
) -> None:
    await add_crew(engine)
    changes = Subscription()
    folder = new_folder(short_folder / "back")
    with redis_server(folder) as url:
        async with at_work(url, engine, changes) as (redis, distributor, _):
            presence, run = PresenceService(redis, SIGN_IN), distributor.script
            changes.notify()
            await until_filled(redis)
            for extension in ("201", "202"):
                await presence.ask(extension, PresenceState.READY, by="self")
            await run("wait", "gone", "line-1", "kk", "1", "1", "@202", "")
            await run("wait", "left", "line-1", "kk", "1", "1", "@203", "")
            await save_history(redis, engine)
            await redis.save()
            await run("leave", "gone", "unused")
            await run("leave", "left", "unused")
            await presence.ask("201", PresenceState.SIGNED_OUT, by="self")
            await presence.ask("203", PresenceState.READY, by="self")
            await presence.ask("203", PresenceState.PAUSED, by="self", reason="lunch")
            await save_history(redis, engine)
            os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
    (folder / "redis.sock").unlink()
    with redis_server(folder) as url:
        async with at_work(url, engine, changes) as (redis, distributor, _):
            presence = PresenceService(redis, SIGN_IN)
            async with distributor.place("call", "kk") as place:
                await place.wait_for_offer(0.1)
                assert not await redis.exists("desk:held")  # nobody has told it the states yet
                serving = asyncio.create_task(distributor.run())
                offered = await place.wait_for_offer(PATIENCE)
                assert offered is not None
                assert offered.extension == "202"  # whose offer was over
                for key in ("waiting", "calls"):
                    assert not await redis.exists(f"desk:{key}")
                assert await redis.hgetall("desk:held") == {"call": "202"}
                reported = {each.extension: each for each in await presence.everyone()}
                assert reported["201"].state is PresenceState.SIGNED_OUT
                assert (reported["203"].state, reported["203"].reason) == (
                    PresenceState.PAUSED,
                    "lunch",
                )
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


async def test_a_snapshot_newer_than_the_database_wins(
    engine: AsyncEngine, short_folder: Path
) -> None:
    await add_crew(engine)
    changes = Subscription()
    folder = new_folder(short_folder / "newer")
    with redis_server(folder) as url:
        async with at_work(url, engine, changes) as (redis, distributor, _):
            presence = PresenceService(redis, SIGN_IN)
            changes.notify()
            await until_filled(redis)
            await presence.ask("201", PresenceState.READY, by="self")
            await save_history(redis, engine)
            await presence.ask("201", PresenceState.SIGNED_OUT, by="self")  # no worker runs now
            await redis.save()
            os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
    (folder / "redis.sock").unlink()
    with redis_server(folder) as url:
        async with at_work(url, engine, changes) as (redis, distributor, _):
            await distributor.now()
            changes.notify()
            await until_filled(redis)
            own = await PresenceService(redis, SIGN_IN).of("201")
            assert own.state is PresenceState.SIGNED_OUT
            await save_history(redis, engine)


async def test_a_telephone_signs_out_nobody_before_there_is_a_roster(redis: Redis) -> None:
    async with distributor_and_presence(redis, SIGN_IN, "201") as (distributor, presence):
        await presence.ask("201", PresenceState.READY, by="self")
        await redis.set("desk:run", "0ld")  # as when it starts from a snapshot
        await distributor.update_devices({"201": FREE}, 2)
        assert not await redis.exists("desk:roster")
        assert str(await redis.hget("desk:states", "201")).startswith("ready ")


@pytest.mark.parametrize("missed", ["roster", "telephone"])
async def test_what_a_frozen_redis_missed_is_sent_again(
    engine: AsyncEngine,
    settings: Settings,
    short_folder: Path,
    caplog: pytest.LogCaptureFixture,
    missed: str,
) -> None:
    await add_crew(engine)
    state = FREE

    async def states() -> Mapping[str, str]:
        return {"PJSIP/201": state}

    async def knows(device: str, *, is_on_roster: bool = True) -> bool:
        found = str(await redis.hget("desk:devices", "201"))
        return is_on_roster == await redis.hexists("desk:roster", "201") and device in found.split()

    listener = NotifyListener(settings)
    changes = listener.subscribe(store.CHANGED)
    with redis_server(new_folder(short_folder / "froze")) as url:
        async with (
            at_work(url, engine, changes, states) as (redis, _, sync),
            running(listener.run()),
        ):
            await until(lambda: knows(FREE), "Redis knows everybody")
            pid = (await redis.info("server"))["process_id"]
            await redis.connection_pool.disconnect()  # by one that is there it would come later
            os.kill(pid, signal.SIGSTOP)
            try:
                if missed == "roster":
                    async with unit_of_work(engine) as connection:
                        await store.set_active(connection, "201", False)
                else:
                    state = TALKING
                    at = f"{time.time():.6f}"
                    sync.device_changed({"Device": "PJSIP/201", "State": state, "Timestamp": at})
                await until(lambda: "presence sync failed" in caplog.text, "it was not sent")
            finally:
                os.kill(pid, signal.SIGCONT)
            await until(
                lambda: knows(state, is_on_roster=missed != "roster"), "Redis knows it now", SOON
            )


async def test_a_silent_asterisk_delays_neither_heartbeats_nor_roster(
    engine: AsyncEngine, short_folder: Path
) -> None:
    async def silent() -> Mapping[str, str]:
        await asyncio.Event().wait()
        return {}

    async def is_on_roster() -> bool:
        return bool(await redis.hexists("desk:roster", "201"))

    async def is_off_roster() -> bool:
        return not await is_on_roster()

    async def last() -> float:
        return float(await redis.zscore("desk:controllers", "line-1") or 0)

    async def beats() -> bool:
        return await last() > last_beat

    await add_crew(engine)
    changes, last_beat = Subscription(), 0.0
    with redis_server(new_folder(short_folder / "silent")) as url:
        async with (
            at_work(url, engine, changes, silent) as (redis, distributor, _),
            running(distributor.run()),
        ):
            await until(is_on_roster, "it is told the roster that it does not have")
            async with unit_of_work(engine) as connection:
                await store.set_active(connection, "201", False)
            changes.notify()
            await until(is_off_roster, "it is told that somebody was shut out")
            for _ in range(3):
                await until(beats, "the heart beats")
                last_beat = await last()
