"""Finding appeals: what is kept for it with each record, and how a question is answered.

A row of `record_search` holds the stems of a record's words, its folded names and its numbers, in
one array with a GIN index. Sensitive words (a child's name) are there as keyed hashes only.
Slips of the pen are mended by the vocabulary: a word that no appeal has is looked up by its pieces.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, cast, func, or_, select, text, union
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.callers import read_caller
from callcenter.appeals.number import is_valid
from callcenter.appeals.tables import appeal
from callcenter.errors import AskedWrongly
from callcenter.register.fields import Content, Form, Guard
from callcenter.register.identifiers import parse_identifier
from callcenter.register.private import Keys
from callcenter.register.stages import Stage
from callcenter.register.tables import record, record_identifier, record_search, search_word
from callcenter.register.words import folded, grams, stems, words

LIMIT = 50
EARLIER = 10  # appeals of the same person that are shown
WORDS = 8  # of a question; more only make it slower
NEAR = 5  # words of the vocabulary that a slip may have meant
SIMILAR = 0.45  # of the pieces that two words have, those in common, at least

# Alike are words by the part of their pieces that they have in common (Dice's coefficient).
_NEAR = text(
    """
    SELECT word FROM search_word CROSS JOIN LATERAL unnest(grams) AS piece
    WHERE grams && CAST(:pieces AS text[]) AND piece = ANY(CAST(:pieces AS text[]))
    GROUP BY word
    HAVING 2.0 * count(*) / (cardinality(grams) + cardinality(CAST(:pieces AS text[]))) >= :least
    ORDER BY 2.0 * count(*) / (cardinality(grams) + cardinality(CAST(:pieces AS text[]))) DESC, word
    LIMIT :limit
    """
)
_NUMBERS = re.compile(r"[\d\s()+-]{4,}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for. Without words, filters alone; `by_deadline` else the newest first."""

    text: str = ""
    stages: Sequence[Stage] = ()
    region: str = ""
    since: datetime | None = None
    until: datetime | None = None
    by_deadline: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """An appeal that was found."""

    id: UUID
    number: str
    received_at: datetime
    stage: str
    kind: str | None
    due_on: date | None
    owner: str | None


def document(
    keys: Keys, form: Form, content: Content, caller_number: str | None
) -> tuple[set[str], set[str]]:
    """What a record is found by, and which of it are words for the vocabulary."""
    found: set[str] = set()
    plain: set[str] = set()
    for key, value in content.items():
        if key.endswith(".phone") and isinstance(value, str):
            found.update(_phone(value))
        if key.endswith((".phone", ".identifier")):
            continue  # numbers are found as a whole, an identifier by `record_identifier`
        secret = form.guard(key, content) is Guard.SENSITIVE
        is_name = key.endswith(".name")
        for word in words(value if isinstance(value, str) else " ".join(value)):
            said = [folded(word)] if is_name else list(stems(word))
            if secret:
                found.update(_secret(keys, each) for each in said)
            else:
                plain.update(said)
    found.update(_phone(caller_number or ""))
    return found | plain, {word for word in plain if not word.isdecimal()}


async def index(
    connection: AsyncConnection, keys: Keys, form: Form, appeal_id: UUID, content: Content
) -> None:
    """Keep what a record is found by; in the transaction that saves it."""
    query = select(appeal.c.caller_number, appeal.c.received_at).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    terms, plain = document(keys, form, content, row.caller_number)
    values = {"terms": sorted(terms), "received_at": row.received_at}
    await connection.execute(
        upsert(record_search)
        .values(appeal_id=appeal_id, **values)
        .on_conflict_do_update(index_elements=["appeal_id"], set_=values)
    )
    # Sorted, so that two who save at once do not wait for each other in a circle.
    entries = [{"word": word, "grams": grams(word)} for word in sorted(plain)]
    if entries:
        await connection.execute(upsert(search_word).on_conflict_do_nothing(), entries)


async def find(connection: AsyncConnection, keys: Keys, question: Question) -> list[Found]:
    """Up to 51 appeals (one more than are shown) that fit the question, word for word."""
    asked = question.text.strip()
    digits = re.sub(r"[\s.-]", "", asked)
    newest: ColumnElement[Any] = appeal.c.received_at
    if is_valid(digits):
        query = rows().where(appeal.c.number == digits)
    elif identifier := _identifier(asked):
        people = select(record_identifier.c.appeal_id).where(
            record_identifier.c.hash == keys.hash("identifier", identifier)
        )
        query = rows().where(appeal.c.id.in_(people))
    elif _NUMBERS.fullmatch(asked) and (phones := _phone(asked)):
        called = select(appeal.c.id).where(appeal.c.caller_number.in_(phones))
        having = select(record_search.c.appeal_id).where(_overlap(record_search.c.terms, phones))
        # Not by OR, which could use neither index.
        query = rows().where(appeal.c.id.in_(union(called, having)))
    elif asked and not any(words(asked)):
        return []
    elif asked:
        query = rows().join(record_search, record_search.c.appeal_id == appeal.c.id)
        newest = record_search.c.received_at  # whose index serves words that many appeals have
        for word in list(dict.fromkeys(words(asked)))[:WORDS]:
            meant = await _meant(connection, keys, word)
            query = query.where(_overlap(record_search.c.terms, meant))
    else:
        query = rows()
    found = await connection.execute(_filtered(query, question, newest).limit(LIMIT + 1))
    return [Found(*row) for row in found]


async def of_same_person(connection: AsyncConnection, appeal_id: UUID) -> list[Found]:
    """Other appeals from the same telephone, or with the same ИИН or БИН; the newest ten."""
    caller = select(appeal.c.caller_number).where(appeal.c.id == appeal_id).scalar_subquery()
    hashes = select(record_identifier.c.hash).where(record_identifier.c.appeal_id == appeal_id)
    same = select(record_identifier.c.appeal_id).where(record_identifier.c.hash.in_(hashes))
    query = (
        rows()
        .where(or_(appeal.c.caller_number == caller, appeal.c.id.in_(same)))
        .where(appeal.c.id != appeal_id)
        .order_by(appeal.c.received_at.desc())
        .limit(EARLIER)
    )
    return [Found(*row) for row in await connection.execute(query)]


def rows() -> Select[Any]:
    """All appeals, with the columns of Found; those without a record are contacts."""
    return select(
        appeal.c.id,
        appeal.c.number,
        appeal.c.received_at,
        func.coalesce(record.c.stage, Stage.CONTACT.value),
        record.c.kind,
        record.c.due_on,
        record.c.owner,
    ).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))


def _filtered(query: Select[Any], question: Question, newest: ColumnElement[Any]) -> Select[Any]:
    if question.stages:
        query = query.where(record.c.stage.in_([stage.value for stage in question.stages]))
    if question.region:
        query = query.where(record.c.content["region"].astext == question.region)
    if question.since is not None:
        query = query.where(appeal.c.received_at >= question.since)
    if question.until is not None:
        query = query.where(appeal.c.received_at < question.until)
    if question.by_deadline:
        return query.where(record.c.due_on.is_not(None)).order_by(record.c.due_on, appeal.c.id)
    return query.order_by(newest.desc(), appeal.c.id.desc())


async def _meant(connection: AsyncConnection, keys: Keys, word: str) -> list[str]:
    """All that a word of a question may stand for in `terms`."""
    said = [*stems(word), folded(word)]
    meant = [*said, *(_secret(keys, each) for each in said)]
    known = await connection.execute(
        select(search_word.c.word).where(search_word.c.word.in_(said)).limit(1)
    )
    if known.scalar_one_or_none() is None:
        for each in dict.fromkeys(said):
            meant += await _near(connection, each)
    return meant


async def _near(connection: AsyncConnection, word: str) -> list[str]:
    """Words of the vocabulary that differ from this one by a slip or two."""
    found = await connection.execute(
        _NEAR, {"pieces": grams(word), "least": SIMILAR, "limit": NEAR}
    )
    return list(found.scalars())


def _identifier(text: str) -> str | None:
    try:
        return parse_identifier(text)
    except AskedWrongly:
        return None


def _phone(text: str) -> list[str]:
    caller = read_caller(text) if text else None
    return [caller.number] if caller is not None and caller.number is not None else []


def _secret(keys: Keys, word: str) -> str:
    return "#" + keys.hash("word", word).hex()[:32]


def _overlap(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    return column.op("&&", is_comparison=True)(_texts(values))


def _texts(values: Sequence[str]) -> ColumnElement[Any]:
    return cast(list(values), ARRAY(Text))
