"""Invented appeals, in numbers: texts of a few sentences in Kazakh or Russian, with people.

Written by COPY into the same tables, a hundred times faster than the pages write.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from callcenter.appeals.number import LAST_SEQUENCE, make
from callcenter.errors import AskedWrongly, WeFailed
from callcenter.register import definitions
from callcenter.register.fields import Content, Field, Form, Guard, Value
from callcenter.register.identifiers import check_digit
from callcenter.register.indexing import document
from callcenter.register.private import Keys
from callcenter.register.words import grams
from callcenter.settings import Settings
from callcenter.storage.engine import once
from callcenter.web.words import ZONE

BATCH = 5000
YEARS = 3  # over which they are spread, to today
OPEN_FOR = timedelta(days=40)  # what is older is closed
SAMPLES = Path(__file__).with_name("appeals.json")
KINDS = ("consultation", "consultation", "consultation", "statement", "complaint", "danger")

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]  #: of an appeal, by table
COPIES = {
    "appeal": "id, number, channel, language, caller_kind, caller_number, received_at, ended_at,"
    " outcome, written",
    "record": "appeal_id, version, kind, stage, owner, content, sealed, registered_on, due_on,"
    " due_article, danger_passed_at, changed_at",
    "record_search": "appeal_id, terms, received_at",
    "record_identifier": "appeal_id, person, hash",
}


async def load(
    settings: Settings, count: int, seed: int, now: datetime, made: Callable[[int], object]
) -> None:
    """Put `count` appeals into a register that has none; `made` is told of each batch.

    Raises AskedWrongly when there are appeals already, NotReady without a database.
    """
    form, keys = await once(settings, definitions.form), Keys.read(settings)
    inventor = Inventor(form, keys, random.Random(seed))  # noqa: S311 - nothing here is secret
    async with await psycopg.AsyncConnection.connect(settings.database) as connection:
        found = await connection.execute("SELECT EXISTS (SELECT FROM appeal)")
        if (await found.fetchone()) != (False,):
            raise AskedWrongly("there are appeals already: use an empty register")
        appeals = _batches(inventor.appeals(count, now), BATCH)
        batch = next(appeals, None)
        while batch is not None:
            # The next ones are invented while the database takes these in.
            coming, _ = await asyncio.gather(
                asyncio.to_thread(next, appeals, None), _put(connection, batch)
            )
            made(len(batch))
            batch = coming
        async with connection.cursor().copy("COPY search_word (word, grams) FROM STDIN") as copy:
            for word in sorted(inventor.words):
                await copy.write_row((word, grams(word)))
        for year, last in inventor.last.items():
            await connection.execute(
                "INSERT INTO appeal_counter (year, last) VALUES (%s, %s)", (year, last)
            )
    async with await psycopg.AsyncConnection.connect(
        settings.database, autocommit=True
    ) as connection:
        for table in (*COPIES, "search_word"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")


async def _put(connection: psycopg.AsyncConnection, batch: Sequence[Rows]) -> None:
    for table, columns in COPIES.items():
        statement = f"COPY {table} ({columns}) FROM STDIN"
        async with connection.cursor().copy(statement) as copy:
            for rows in batch:
                for row in rows[table]:
                    await copy.write_row(row)


def _batches(appeals: Iterator[Rows], size: int) -> Iterator[list[Rows]]:
    while batch := list(islice(appeals, size)):
        yield batch


class Inventor:
    """Makes rows of appeals, by table. The same seed makes the same appeals."""

    def __init__(self, form: Form, keys: Keys, chance: random.Random) -> None:
        self.words: set[str] = set()
        self.last: dict[int, int] = {}
        self._form = form
        self._keys = keys
        self._chance = chance
        self._samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
        self._regions = [each.code for each in _field(form, "region").options]
        self._topics = [each.code for each in _field(form, "topics").options]

    def appeals(self, count: int, now: datetime) -> Iterator[Rows]:
        """`count` appeals, spread evenly over three years that end now, the oldest first."""
        begin = now - timedelta(days=365 * YEARS)
        step = (now - begin) / count
        for index in range(count):
            yield self._appeal(begin + step * index, now)

    def _appeal(self, received_at: datetime, now: datetime) -> Rows:
        chance = self._chance
        identity = UUID(int=chance.getrandbits(128), version=4)
        language = chance.choice(("kk", "ru"))
        phone = f"+770{chance.randrange(10**8):08}"
        kind = chance.choice(KINDS)
        ended = received_at + timedelta(minutes=chance.randrange(1, 20))
        content, identifier = self._content(language, phone, kind)
        is_open = received_at > now - OPEN_FOR
        stage = chance.choice(("registered", "in_work", "forwarded")) if is_open else "closed"
        registered = received_at.astimezone(ZONE).date()
        due = registered + timedelta(days=21) if is_open else None
        terms, plain = document(self._keys, self._form, content, phone)
        self.words |= plain
        secret = {
            key: value
            for key, value in content.items()
            if self._form.guard(key, content) is Guard.SENSITIVE
        }
        shown = {key: value for key, value in content.items() if key not in secret}
        number = self._number(registered.year % 100)
        sealed = self._keys.seal(identity, secret)
        owner = f"consultant{chance.randrange(1, 40)}"
        rows: Rows = {
            "appeal": [(identity, number, "call", language, "number", phone, received_at, ended,
                        "talked", True)],
            "record": [(identity, 1, kind, stage, owner, json.dumps(shown, ensure_ascii=False),
                        sealed, registered, due, "350-VI, 76(1)" if due else None,
                        ended if kind == "danger" else None, ended)],
            "record_search": [(identity, sorted(terms), received_at)],
            "record_identifier": [
                (identity, "applicant", self._keys.hash("identifier", identifier))
            ],
        }  # fmt: skip
        return rows

    def _number(self, year: int) -> str:
        self.last[year] = self.last.get(year, 0) + 1
        if self.last[year] > LAST_SEQUENCE:
            raise AskedWrongly("a year has numbers for 9999999 appeals: make fewer")
        return make(year, self.last[year])

    def _content(self, language: str, phone: str, kind: str) -> tuple[Content, str]:
        chance, samples = self._chance, self._samples[language]
        identifier = self._identifier()
        content: dict[str, Value] = {
            "content": " ".join(chance.choice(each) for each in samples["sentences"]),
            "topics": [chance.choice(self._topics)],
            "region": chance.choice(self._regions),
            "help": ["information"],
            "decision": chance.choice(samples["decisions"]),
            "applicant.name": f"{chance.choice(samples['surnames'])} "
            f"{chance.choice(samples['names'])}",
            "applicant.identifier": identifier,
            "applicant.phone": phone,
            "applicant.language": language,
        }
        if kind == "danger":
            content["affected1.person_kind"] = "child"
            content["affected1.name"] = chance.choice(samples["names"])
        return content, identifier

    def _identifier(self) -> str:
        while True:
            eleven = f"{self._chance.randrange(10**11):011}"
            last = check_digit(eleven)
            if last is not None:
                return f"{eleven}{last}"


def _field(form: Form, code: str) -> Field:
    field = form.field(code)
    if field is None:
        raise WeFailed(f"the form has no field {code}")
    return field
