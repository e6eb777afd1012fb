"""How long it takes to find an appeal in a register of many, and to open one more:
`python -m tests.bench appeals`.
"""

import time
from collections.abc import Awaitable, Callable, Sized
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import callcenter.bootstrap.rooms  # noqa: F401 - registers the work lists of rooms
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.fields import AccessRule
from callcenter.appeals.rules.number import make
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.search import query as search_query
from callcenter.appeals.search import worklists
from callcenter.appeals.search.query import SearchFilter
from callcenter.appeals.search.worklists import WorkListReader
from callcenter.appeals.status.lookup import SqlAppealStatusLookup
from callcenter.demo.seed_appeals import load
from callcenter.platform.core.caller_id import CallerId
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.telephony.calls.journal.events import CallOpened
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.spool import JournalSpool
from callcenter.telephony.controller.journal_writer import JournalWriter
from tests.bench.results import table
from tests.postgres import durable_server

ROUNDS = 20  # of each question
OPENED = 200  # appeals, as calls open them
GUESSED = 2000  # numbers, with a code that does not fit, as a guesser keys them

QUESTIONS = {
    "one word that a tenth has": SearchFilter("алименты"),
    "one word that half has": SearchFilter("просит"),
    "three words": SearchFilter("муж алименты полиция"),
    "a name, in Latin letters": SearchFilter("Seitova Aigul"),
    "a Kazakh word in another form": SearchFilter("жәрдемақыны"),
    "a Kazakh noun of two letters, in Russian ones": SearchFilter("уй"),
    "a slip": SearchFilter("алементы"),
    "words and a stage": SearchFilter("полиция", stages=(AppealState.FORWARDED,)),
    "words and a region": SearchFilter("опека", region="710000000"),
    "a common word and a stage of the past": SearchFilter("просит", stages=(AppealState.CLOSED,)),
    "a common word and a stage of none": SearchFilter("просит", stages=(AppealState.JOINED,)),
    "what nobody has touched": SearchFilter(stages=(AppealState.CONTACT,)),
    "a region alone": SearchFilter(region="710000000"),
    "a word, a kind and a topic": SearchFilter("просит", kind=AppealKind.COMPLAINT, topic="family"),
    "who answers for it, urgent": SearchFilter(owner="consultant7", urgent=True),
    "a channel of none": SearchFilter(channel="paper"),
    "words that none has together": SearchFilter("отцовство прописки"),
    "common words that none has together": SearchFilter("муж жәрдемақы"),
    "a word of long ago": SearchFilter("алименты", until=datetime(2024, 6, 1, tzinfo=UTC)),
    "words, by deadline": SearchFilter("алименты", by_deadline=True),
    "no words, by deadline": SearchFilter(by_deadline=True),
}


async def measure(folder: Path, appeals: int, say: Callable[[str], None]) -> str:
    """Milliseconds of each question, median and 95th percentile, and of each work list."""
    with durable_server(folder) as settings:
        begun = time.monotonic()
        now = datetime.now(UTC)
        await load(settings, appeals, 111, now, lambda _: None)
        say(f"{appeals} appeals were loaded in {time.monotonic() - begun:.0f} s")
        return await _measured(settings, now)


async def _measured(settings: Settings, now: datetime) -> str:
    engine = open_database(settings)
    keys = RecordKeys.read(settings)
    rows = [("question", "found", "median ms", "p95 ms")]
    try:
        async with unit_of_work(engine) as connection:
            caller = await connection.execute(text("SELECT caller_number FROM appeal LIMIT 1"))
            requested = QUESTIONS | {"a telephone": SearchFilter(caller.scalar_one())}
            for name, question in requested.items():
                ask = partial(search_query.find, connection, keys, question, set(AccessRule))
                rows.append((name, *await timed(ask)))
            today = now.astimezone(ZONE).date() + timedelta(days=5)
            reader = WorkListReader("consultant7", today, now)
            read = partial(worklists.read, connection, reader=reader, limit=worklists.LIMIT)
            for which in worklists.all_lists():
                ask = partial(read, which=which)
                rows.append((f"list {which.key}", *await timed(ask)))
        rows += await _opening(engine)
        rows += await _guessing(engine)
    finally:
        await engine.dispose()
    return table(rows)


async def _opening(engine: AsyncEngine) -> list[tuple[str, str, str, str]]:
    """What a call waits for to have its appeal, and how long the journal then takes to keep it."""
    writing, putting, keeping = JournalWriter(engine), list[float](), list[float]()
    caller = CallerId("number", "+77010000000")
    with TemporaryDirectory() as folder:
        journal = Journal(writing.write, JournalSpool(Path(folder), "bench", 1024**2))
        for _ in range(OPENED):
            begun = time.perf_counter()
            journal.open_call(uuid4().hex, caller)
            put = time.perf_counter()
            await writing.write([CallOpened(uuid4(), uuid4().hex, caller, datetime.now(UTC))])
            putting.append((put - begun) * 1000)
            keeping.append((time.perf_counter() - put) * 1000)
    await writing.close()
    return [
        (name, str(OPENED), f"{median(times):.3f}", f"{quantiles(times, n=20)[-1]:.3f}")
        for name, times in (("a call opens its appeal", putting), ("it is kept", keeping))
    ]


async def _guessing(engine: AsyncEngine) -> list[tuple[str, str, str, str]]:
    """How long a wrong code is judged, and a number of no appeal: it must not tell them apart."""
    lookup = SqlAppealStatusLookup(engine)
    async with unit_of_work(engine) as connection:
        query = text("SELECT number FROM appeal ORDER BY id LIMIT :most")
        there = list((await connection.execute(query, {"most": GUESSED})).scalars())
    times: dict[str, list[float]] = {"a wrong code": [], "a wrong number": []}
    for sequence, number in enumerate(there):
        # By turns, so that whatever else the machine does falls on both.
        for name, requested in zip(times, (number, make(19, sequence + 1)), strict=True):
            begun = time.perf_counter()
            await lookup.look_up(requested, "xxxx", "1.1", f"{name} {sequence}")
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
