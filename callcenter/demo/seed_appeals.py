"""Generates invented appeals: texts of a few sentences in Kazakh or Russian, with people.

Written by COPY into the same tables, a hundred times faster than the pages write.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import Table, exists, select

from callcenter.appeals.calls.tables import appeal, appeal_counter
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form import store
from callcenter.appeals.record.search_index import build_terms, secrets_of
from callcenter.appeals.rules.fields import AccessRule, Content, Field, Form, Value
from callcenter.appeals.rules.iin import check_digit
from callcenter.appeals.rules.number import LAST_SEQUENCE, make
from callcenter.appeals.rules.text_analysis import grams
from callcenter.appeals.tables import record, record_identifier, record_search, search_word
from callcenter.bodies import store as bodies
from callcenter.bodies.rules.directory import Directory
from callcenter.bootstrap.data_secrets import ensure_secrets
from callcenter.demo.seed_requests import REQUEST_COLUMNS, RequestGenerator, Row, Rows
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import temporary_engine, unit_of_work

BATCH = 5000
YEARS = 3  # over which they are spread, to today
OPEN_FOR = timedelta(days=40)  # what is older is closed
SAMPLES = Path(__file__).with_suffix(".json")
KINDS = ("consultation", "consultation", "consultation", "statement", "complaint", "danger")

#: Columns that are filled, of the tables of one appeal and then of all; KeyError: there is none.
COLUMNS = {
    table: table.c[tuple(names.split())].keys()
    for table, names in {
        appeal: "id number channel language caller_kind caller_number received_at ended_at"
        " outcome written",
        record: "appeal_id version kind stage owner content sealed registered_on due_on"
        " due_article danger_passed_at changed_at",
        record_search: "appeal_id terms received_at",
        record_identifier: "appeal_id person hash",
        search_word: "word grams",
        **REQUEST_COLUMNS,
        appeal_counter: "year last",
    }.items()
}


async def load(
    settings: Settings, count: int, seed: int, now: datetime, made: Callable[[int], object]
) -> None:
    """Fill an empty register with `count` appeals; `made` is called after each batch.

    Raises InvalidRequest when there are appeals already, DependencyUnavailable without a database.
    """
    async with temporary_engine(settings) as engine:
        async with unit_of_work(engine) as reading:
            if (await reading.execute(select(exists().select_from(appeal)))).scalar_one():
                raise InvalidRequest("there are appeals already: use an empty register")
            form = await store.read_form(reading)
            directory = await bodies.read_directory(reading)
        await ensure_secrets(settings, engine, ("register", "register_search"))
    keys = RecordKeys.read(settings)
    chance = random.Random(seed)  # noqa: S311 - nothing here is secret
    inventor = AppealGenerator(form, directory, keys, chance)
    async with await psycopg.AsyncConnection.connect(settings.database) as connection:
        appeals = _batches(inventor.appeals(count, now), BATCH)
        batch = next(appeals, None)
        while batch is not None:
            # The next ones are invented while the database takes these in.
            coming, _ = await asyncio.gather(
                asyncio.to_thread(next, appeals, None), _put(connection, batch)
            )
            made(len(batch))
            batch = coming
        found = ((word, grams(word)) for word in sorted(inventor.words))
        await _copy(connection, search_word, found)
        await _copy(connection, appeal_counter, inventor.last.items())
    async with await psycopg.AsyncConnection.connect(
        settings.database, autocommit=True
    ) as connection:
        for table in COLUMNS:
            await connection.execute(f"VACUUM (ANALYZE) {table.name}")


async def _put(connection: psycopg.AsyncConnection, batch: Sequence[Rows]) -> None:
    for table in batch[0]:
        await _copy(connection, table, (row for rows in batch for row in rows[table]))


async def _copy(connection: psycopg.AsyncConnection, table: Table, rows: Iterable[Row]) -> None:
    statement = f"COPY {table.name} ({', '.join(COLUMNS[table])}) FROM STDIN"
    async with connection.cursor().copy(statement) as copy:
        for row in rows:
            await copy.write_row(row)


def _batches(appeals: Iterator[Rows], size: int) -> Iterator[list[Rows]]:
    while batch := list(islice(appeals, size)):
        yield batch


class AppealGenerator:
    """Generates rows of appeals, by table. The same seed gives the same appeals."""

    def __init__(
        self, form: Form, directory: Directory, keys: RecordKeys, chance: random.Random
    ) -> None:
        self.words: set[str] = set()
        self.last: dict[int, int] = {}
        self._form = form
        self._keys = keys
        self._chance = chance
        self._samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
        self._regions = [each.code for each in _field(form, "region").options]
        self._topics = [each.code for each in _field(form, "topics").options]
        self._requests = RequestGenerator(form, directory, keys, chance)

    def appeals(self, count: int, now: datetime) -> Iterator[Rows]:
        """`count` appeals, spread evenly over three years that end now, the oldest first."""
        begin = now - timedelta(days=365 * YEARS)
        step = (now - begin) / count
        for index in range(count):
            yield self._appeal(begin + step * index, now)

    def _appeal(self, received_at: datetime, now: datetime) -> Rows:
        chance = self._chance
        identity = UUID(int=chance.getrandbits(128), version=4)
        language = chance.choice(CALLER_LANGUAGES)
        phone = f"+770{chance.randrange(10**8):08}"
        kind = chance.choice(KINDS)
        ended = received_at + timedelta(minutes=chance.randrange(1, 20))
        content, identifier = self._content(language, phone, kind)
        is_open = received_at > now - OPEN_FOR
        stage = chance.choice(("registered", "in_work", "forwarded")) if is_open else "closed"
        registered = received_at.astimezone(ZONE).date()
        due = registered + timedelta(days=21) if is_open else None
        owner = f"consultant{chance.randrange(1, 40)}"
        number = self._number(registered.year % 100)
        terms, plain = build_terms(self._keys, self._form, content, phone)
        self.words |= plain
        requests: Rows = {table: [] for table in REQUEST_COLUMNS}
        if due is not None and stage == "forwarded":
            reference, requests = self._requests.request(
                identity,
                number,
                language,
                content,
                received_at=received_at,
                due_on=due,
                author=f"user:{owner}",
                now=now,
            )
            terms |= secrets_of(self._keys, [reference])
        secret = {
            key: value
            for key, value in content.items()
            if self._form.guard(key, content) is AccessRule.SENSITIVE
        }
        shown = {key: value for key, value in content.items() if key not in secret}
        sealed = self._keys.seal(identity, secret)
        rows: Rows = {
            appeal: [(identity, number, "call", language, "number", phone, received_at, ended,
                        "talked", True)],
            record: [(identity, 1, kind, stage, owner, json.dumps(shown, ensure_ascii=False),
                        sealed, registered, due, "350-VI, 76(1)" if due else None,
                        ended if kind == "danger" else None, ended)],
            record_search: [(identity, sorted(terms), received_at)],
            record_identifier: [
                (identity, "applicant", self._keys.hash("identifier", identifier))
            ],
        }  # fmt: skip
        return rows | requests

    def _number(self, year: int) -> str:
        self.last[year] = self.last.get(year, 0) + 1
        if self.last[year] > LAST_SEQUENCE:
            raise InvalidRequest("a year has numbers for 9999999 appeals: make fewer")
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
        raise OperationFailed(f"the form has no field {code}")
    return field
