"""How far sealing falls behind when all conversations end at once, or while the store is away:
`python -m tests.bench behind`.

The real worker, on files as the switch writes them, with PostgreSQL and Redis. The store is a
folder, or an S3 server that is started late.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

import numpy as np
import psutil
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.launcher.process_plan import ours
from callcenter.launcher.sd_notify import readiness
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.recordings import store
from callcenter.recordings.sealing import keys
from callcenter.recordings.sealing.audio import RATE
from tests.appeals import opened
from tests.bench.results import table
from tests.bench.sealing import record, spoken
from tests.postgres import durable_server
from tests.s3 import S3Server, s3_server
from tests.services import redis_server

LENGTH = 180  # seconds of each conversation
DIFFERENT = 20  # of them; others are copies
LOOK_EVERY = 0.1  # seconds: what is stored is noticed so late
PATIENCE = 600.0  # seconds for all of them, once the last has closed and the store is there
CLOSE = text(
    "UPDATE recording SET state = 'closed', ended_at = started_at + :length WHERE id = ANY(:ids)"
)
STORED = text("SELECT id FROM recording WHERE state = 'stored'")

Say = Callable[[str], None]


async def behind(
    folder: Path, at_once: int, rate: float, seconds: float, absent: float, built: Path, say: Say
) -> str:
    """`at_once` close in the same second, then `rate` a second for so many seconds.

    The store is away for the first `absent` seconds.
    """
    with (
        durable_server(folder) as durable,
        redis_server(folder) as redis,
        s3_server(folder / "s3") as bucket,
    ):
        settings = Settings(
            _env_file=None,
            var=folder,
            recordings=folder / "recordings",
            recordings_url=bucket.new_bucket() if absent else None,
            database_url=durable.database_url,
            redis_url=SecretStr(redis),
            metrics_port=None,
        )
        keys.make(settings.keys)
        load = _Load(at_once, rate, seconds, absent)
        return await _measured(settings, load, bucket, built, say)


@dataclass(frozen=True)
class _Load:
    at_once: int
    rate: float
    seconds: float
    absent: float


async def _measured(
    settings: Settings, load: _Load, bucket: S3Server, built: Path, say: Say
) -> str:
    engine = open_database(settings)
    try:
        speech = spoken(built)
        ids = await _recorded(
            settings, engine, load.at_once + int(load.rate * load.seconds), speech
        )
        say(f"{len(ids)} conversations of {LENGTH} s are recorded; load {os.getloadavg()[0]:.1f}")
        burst, coming = ids[: load.at_once], ids[load.at_once :]
        if load.absent:
            bucket.stop()
        async with _worker(settings) as process:
            before, memory = sum(process.cpu_times()[:2]), process.memory_info().rss
            back = asyncio.create_task(_back(bucket, load.absent, say))
            patience = PATIENCE + load.absent + load.seconds
            waits = await _closing(engine, burst, coming, 1 / load.rate, patience)
            await back
            cpu = sum(process.cpu_times()[:2]) - before
            grown = (process.memory_info().rss - memory) / 1e6
        say(f"all are stored; load {os.getloadavg()[0]:.1f}")
    finally:
        await engine.dispose()
    left = len(list(settings.spool.glob("*.raw")))
    rows = [("recordings", "number", "median s", "longest s")]
    for name, which in (("closed at once", burst), ("coming after", coming)):
        took = [waits[each] for each in which]
        if took:
            rows.append((name, str(len(took)), f"{median(took):.1f}", f"{max(took):.1f}"))
    worker = f"CPU of the worker: {cpu:.0f} s; its memory grew by {grown:.0f} MB"
    return f"{table(rows)}\n{worker}; raw files left: {left}"


async def _back(bucket: S3Server, absent: float, say: Say) -> None:
    if absent:
        await asyncio.sleep(absent)
        await asyncio.to_thread(bucket.start)
        say(f"the store is there again, after {absent:g} s")


async def _recorded(
    settings: Settings, engine: AsyncEngine, count: int, speech: np.ndarray
) -> Sequence[UUID]:
    settings.spool.mkdir()
    began = datetime.now(UTC) - timedelta(seconds=LENGTH)
    ids = [uuid4() for _ in range(count)]
    for number, recording_id in enumerate(ids):
        name = f"{recording_id}.raw"
        file = settings.spool / name
        if number < DIFFERENT:
            record(file, np.roll(speech, -number * LENGTH * RATE), LENGTH)
        else:
            shutil.copyfile(settings.spool / f"{ids[number % DIFFERENT]}.raw", file)
        async with unit_of_work(engine) as connection:
            appeal_id = await opened(connection, began)
            await store.begin(
                connection,
                recording_id=recording_id,
                appeal_id=appeal_id,
                consultant_id=None,
                spool_name=name,
                started_at=began,
            )
    return ids


@asynccontextmanager
async def _worker(settings: Settings) -> AsyncIterator[psutil.Process]:
    path = settings.var / "notify.sock"
    async with readiness(path) as reported:
        process = await asyncio.create_subprocess_exec(
            *ours("worker"), env={**environment(settings), "NOTIFY_SOCKET": str(path)}
        )
        try:
            await reported
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            await process.wait()


async def _closing(
    engine: AsyncEngine,
    burst: Sequence[UUID],
    coming: Sequence[UUID],
    pause: float,
    patience: float,
) -> dict[UUID, float]:
    """Seconds from closed to stored, of each."""
    closed: dict[UUID, float] = {}
    waits: dict[UUID, float] = {}

    async def close(ids: Sequence[UUID]) -> None:
        async with unit_of_work(engine) as connection:
            await connection.execute(CLOSE, {"ids": list(ids), "length": timedelta(seconds=LENGTH)})
        closed.update(dict.fromkeys(ids, time.monotonic()))

    async def close_all() -> None:
        await close(burst)
        begun = time.monotonic()
        for number, each in enumerate(coming, start=1):
            await asyncio.sleep(begun + number * pause - time.monotonic())
            await close([each])

    async with asyncio.timeout(patience), asyncio.TaskGroup() as tasks:
        tasks.create_task(close_all())
        while len(waits) < len(burst) + len(coming):
            await asyncio.sleep(LOOK_EVERY)
            async with unit_of_work(engine) as connection:
                stored = set((await connection.execute(STORED)).scalars())
            now = time.monotonic()
            waits |= {each: now - closed[each] for each in stored & closed.keys() - waits.keys()}
    return waits
