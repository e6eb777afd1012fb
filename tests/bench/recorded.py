"""How long it takes to find recordings among many: `python -m tests.bench recorded`."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import text

from callcenter.appeals.recordings import queries
from callcenter.appeals.recordings.queries import RecordingFilter
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.recordings.jobs import SAMPLE
from callcenter.recordings.sealing.quarantine_store import list_quarantined
from callcenter.recordings.sealing.sampling import some_stored
from tests.bench.appeals import timed
from tests.bench.results import table
from tests.postgres import durable_server

BEGAN = datetime(2019, 5, 1, tzinfo=UTC)
DAYS = 2750
WEEK = timedelta(days=7)
ONE_IN = (20, 50, 100, 143, 200, 500, 10000)
# Nine in ten calls are talked; the others are 5 %, 2 %, 1 % and so on, as their words say.
MAKE = (
    """INSERT INTO consultant (id, extension, name, languages, digest)
    SELECT gen_random_uuid(), (2000 + n)::text, 'Consultant ' || n, '{kk,ru}', '-'
    FROM generate_series(1, 120) AS n""",
    """INSERT INTO appeal (id, number, channel, call_id, language, caller_kind, caller_number,
        received_at, ended_at, outcome)
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        lpad(n::text, 10, '0'), 'call', n::text, CASE WHEN n % 3 = 0 THEN 'kk' ELSE 'ru' END,
        'number', '+7701' || lpad((n * 7919 % 400000)::text, 7, '0'), at, at + '10 minutes', CASE
            WHEN n % 10000 = 1 THEN 'of_1_in_10000' WHEN n % 500 = 2 THEN 'of_1_in_500'
            WHEN n % 143 = 3 THEN 'of_1_in_143' WHEN n % 200 = 7 THEN 'of_1_in_200'
            WHEN n % 100 = 4 THEN 'of_1_in_100'
            WHEN n % 50 = 5 THEN 'of_1_in_50' WHEN n % 20 = 6 THEN 'of_1_in_20' ELSE 'talked' END
    FROM (SELECT n, :began + n * interval '1 second' * (86400.0 * :days / :count) AS at
        FROM generate_series(1::bigint, :count) AS n) AS made""",
    """INSERT INTO recording (id, appeal_id, consultant_id, spool_name, state, started_at, ended_at,
        store_name, sha256, bytes, audio_sha256, audio_bytes, sealed_to, duration_ms)
    SELECT gen_random_uuid(), id, (SELECT array_agg(id) FROM consultant)[1 + n % 120], n || '.raw',
        'stored', received_at, received_at + (5 + (n * 7919 % 4000) + CASE n % 5000 WHEN 0 THEN 9
        ELSE 0 END) * interval '1 second', n || '.flac.age', repeat('0', 64), 1000,
        repeat('0', 64), 900, 'age1', 1000 * (5 + (n * 7919 % 4000))
    FROM (SELECT *, call_id::bigint AS n FROM appeal) AS made""",
    "VACUUM ANALYZE appeal",
    "VACUUM ANALYZE recording",
)


async def find(folder: Path, count: int, say: Callable[[str], None]) -> str:
    """Milliseconds of each question, median and 95th percentile."""
    with durable_server(folder) as settings:
        begun = time.monotonic()
        await _make(settings, count)
        say(f"{count} recordings were made in {time.monotonic() - begun:.0f} s")
        return await _measured(settings, count)


async def _make(settings: Settings, count: int) -> None:
    engine = open_database(settings)
    try:
        async with engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(text("SET statement_timeout = 0"))
            values = {"began": BEGAN, "days": DAYS, "count": count}
            for statement in MAKE:
                used = {name: each for name, each in values.items() if f":{name}" in statement}
                await alone.execute(text(statement), used)
    finally:
        await engine.dispose()


async def _measured(settings: Settings, count: int) -> str:
    middle = BEGAN + timedelta(days=DAYS / 2)
    questions = {
        "nothing in particular": RecordingFilter(),
        "an appeal": RecordingFilter(appeal_number=f"{count // 2:010}"),
        "a caller": RecordingFilter(caller_number="+77010007919"),
        "a consultant": RecordingFilter(consultant="2007"),
        "a part of a name": RecordingFilter(consultant="ultant 11"),
        "a week": RecordingFilter(since=middle, until=middle + WEEK),
        "a language": RecordingFilter(language="kk"),
        "a language that nobody spoke": RecordingFilter(language="en"),
        "a consultant who never speaks it": RecordingFilter(consultant="2007", language="ru"),
        "that, of all consultants of a name": RecordingFilter(
            consultant="ultant 11", language="en"
        ),
        "a consultant, an outcome of none": RecordingFilter(consultant="2007", outcome="of_none"),
        "a consultant, a language, an outcome of 5 %": RecordingFilter(
            consultant="2007", language="kk", outcome="of_1_in_20"
        ),
        "a language that nobody spoke, an outcome of nine in ten": RecordingFilter(
            language="en", outcome="talked"
        ),
        "a part of all names": RecordingFilter(consultant="consultant"),
        "that, and an outcome of none": RecordingFilter(consultant="consultant", outcome="of_none"),
        "a consultant, a week, a language, between ten minutes and eleven": RecordingFilter(
            consultant="2007",
            since=middle,
            until=middle + WEEK,
            language="kk",
            shortest=timedelta(minutes=10),
            longest=timedelta(minutes=11),
        ),
        "longer than an hour": RecordingFilter(shortest=timedelta(minutes=66)),
        "5 % by outcome, longer than an hour": RecordingFilter(
            outcome="of_1_in_20", shortest=timedelta(minutes=60)
        ),
    } | {
        f"outcome {each}": RecordingFilter(outcome=each)
        for each in (
            "talked",
            "of_none",
            *(f"of_1_in_{n}" for n in ONE_IN),
        )
    }
    engine = open_database(settings)
    rows = [("question", "found", "median ms", "p95 ms")]
    try:
        async with unit_of_work(engine) as connection:
            for name, question in questions.items():
                rows.append((name, *await timed(partial(queries.find, connection, question))))
            sample = partial(some_stored, connection, SAMPLE, count)
            rows.append(("the sample of a night", *await timed(sample)))
            rows.append(("what is set aside", *await timed(partial(list_quarantined, connection))))
    finally:
        await engine.dispose()
    return table(rows)
