"""Writes fixtures with the code at hand: `python -m tests.persisted.write FOLDER`.

Those in `written` are from commit 6b5117f, the last one before modules, classes and functions got
the names that they have now, and are not written anew: the code of today must read them.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.calls.journal.spool import JournalSpool
from tests.persisted.calls import CALLS
from tests.persisted.distributor_state import dump, fill
from tests.persisted.entries import ENTRIES
from tests.persisted.jobs import queue_every_job, queued
from tests.persisted.sealed import person, seal
from tests.persisted.words import columns, metrics_of_worker, words
from tests.postgres import TEMPLATE, new_server, url_of
from tests.services import redis_server

SPOOL, WHERE, REDIS, JOBS, SEALED, WORDS = (
    "spool.lines",
    "calls.json",
    "redis.json",
    "jobs.json",
    "sealed.json",
    "words.json",
)
WRITTEN = Path(__file__).with_name("written")


def read_written(name: str) -> Any:
    return json.loads((WRITTEN / name).read_text(encoding="utf-8"))


def _write_spool(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as journals:
        backlog = JournalSpool(Path(journals), "line-1", 1 << 20)
        asyncio.run(backlog.append(ENTRIES))
        (path,) = Path(journals).glob("*.journal")
        (folder / SPOOL).write_bytes(path.read_bytes())
        backlog.close()


async def _write_redis(folder: Path, settings: Settings) -> None:
    redis = open_redis(settings)
    await fill(redis)
    _write_json(folder / REDIS, await dump(redis))
    await redis.aclose()


def _write_json(path: Path, reported: object) -> None:
    text = json.dumps(reported, indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cc-") as short, redis_server(Path(short)) as url:
        server = new_server(Path(short) / "pg")
        server.start()
        try:
            settings = Settings(
                _env_file=None,
                var=Path(short) / "var",
                recordings=Path(short) / "recordings",
                redis_url=url,
                database_url=url_of(Path(short) / "pg", TEMPLATE),
            )
            _write_spool(folder)
            _write_json(folder / WHERE, {leg: where.to_json() for leg, where in CALLS.items()})
            _write_json(folder / SEALED, seal(settings, person(UUID(int=9))))
            asyncio.run(_write_redis(folder, settings))
            asyncio.run(queue_every_job(settings))
            reported = words() | {"metrics of the worker": asyncio.run(metrics_of_worker(settings))}
            with psycopg.connect(settings.database) as connection:
                _write_json(folder / JOBS, queued(connection))
                _write_json(folder / WORDS, reported | {"columns": columns(connection)})
        finally:
            server.cleanup()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
