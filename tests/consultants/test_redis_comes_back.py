"""Redis killed and started from a snapshot: nobody is offered by what it knew then."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.jobs import keep_history
from callcenter.consultants.presence import CHANGES, PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.acd.queue_position import RedisQueueMonitor
from callcenter.telephony.controller.presence_sync import PresenceSync
from tests.consultants.distributors import FREE, PATIENCE, SIGN_IN
from tests.services import new_folder, redis_server


async def telephones() -> Mapping[str, str]:
    return {f"PJSIP/{extension}": FREE for extension in ("201", "202", "203")}


@asynccontextmanager
async def at_work(
    url: str, engine: AsyncEngine
) -> AsyncIterator[tuple[Redis, RedisCallDistributor, PresenceSync]]:
    async with Redis.from_url(url, decode_responses=True) as redis:
        distributor = RedisCallDistributor(redis, "line-1", SIGN_IN)
        sync = PresenceSync(
            distributor, RedisQueueMonitor(redis), engine, telephones, Subscription()
        )
        distributor.on_empty(sync.push_all)
        yield redis, distributor, sync


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
    folder = new_folder(short_folder / "back")
    with redis_server(folder) as url:
        async with at_work(url, engine) as (redis, distributor, sync):
            presence, run = PresenceService(redis, SIGN_IN), distributor.script
            await sync.push_all()
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
        async with at_work(url, engine) as (redis, distributor, sync):
            presence = PresenceService(redis, SIGN_IN)
            async with distributor.place("call", "kk") as place:
                await place.wait_for_offer(0.1)
                assert not await redis.exists("desk:held")  # nobody has told it the states yet
                running = asyncio.create_task(distributor.run())
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
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


async def test_a_snapshot_newer_than_the_database_wins(
    engine: AsyncEngine, short_folder: Path
) -> None:
    await add_crew(engine)
    folder = new_folder(short_folder / "newer")
    with redis_server(folder) as url:
        async with at_work(url, engine) as (redis, distributor, sync):
            presence = PresenceService(redis, SIGN_IN)
            await sync.push_all()
            await presence.ask("201", PresenceState.READY, by="self")
            await save_history(redis, engine)
            await presence.ask("201", PresenceState.SIGNED_OUT, by="self")  # no worker runs now
            await redis.save()
            os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
    (folder / "redis.sock").unlink()
    with redis_server(folder) as url:
        async with at_work(url, engine) as (redis, distributor, sync):
            await distributor.now()
            await sync.push_all()
            own = await PresenceService(redis, SIGN_IN).of("201")
            assert own.state is PresenceState.SIGNED_OUT
            await save_history(redis, engine)
