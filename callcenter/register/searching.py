"""Finding appeals: how a question is answered, from what `indexing` keeps with each record.

Every word of a question must be there, in one of the forms that it may stand for. Slips of the pen
are mended by the vocabulary: a word that no appeal has is looked up by its pieces.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    cast,
    func,
    or_,
    select,
    text,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.cursor import Place
from callcenter.appeals.number import is_valid
from callcenter.appeals.tables import appeal
from callcenter.errors import AskedWrongly
from callcenter.register import definitions
from callcenter.register.fields import Guard
from callcenter.register.identifiers import parse_identifier
from callcenter.register.indexing import in_district, secret, telephone
from callcenter.register.private import Keys
from callcenter.register.stages import Kind, Stage
from callcenter.register.stretches import stretches
from callcenter.register.tables import DAYS, record, record_identifier, record_search, search_word
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
# A plan that fits all words fits none: how many appeals have a word decides.
_PLAN_EACH = text("SET LOCAL plan_cache_mode = force_custom_plan")
_NUMBERS = re.compile(r"[\d\s()+-]{4,}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for. Without words, filters alone; `by_deadline` else the newest first."""

    text: str = ""
    stages: Sequence[Stage] = ()
    kind: Kind | None = None
    channel: str = ""
    direction: str = ""
    topic: str = ""  #: its parts too
    region: str = ""
    district: str = ""
    owner: str = ""  #: name of the user who answers for it
    urgent: bool = False
    since: datetime | None = None
    until: datetime | None = None
    by_deadline: bool = False


#: Filters of a question that are one code each.
CODES = ("channel", "direction", "topic", "region", "district", "owner")


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


async def find(
    connection: AsyncConnection,
    keys: Keys,
    question: Question,
    guards: Collection[Guard],
    *,
    after: Place | None = None,
    limit: int = LIMIT + 1,
) -> list[Found]:
    """Appeals that fit the question, word for word.

    `after`: the time of arrival (by deadline: its midnight, UTC) and id of the last one known.
    Nothing is found by a field that somebody with these guards does not see. Words and telephones
    are personal: it is not kept of which field they are.
    """
    await connection.execute(_PLAN_EACH)
    exact = _exactly(keys, question.text.strip(), guards)
    found = await _fitting(connection, keys, question, guards, exact, after, limit)
    if not _fits_unwritten(question) or (exact is None and question.text.strip()):
        return found
    query = (rows() if exact is None else exact).where(~appeal.c.written)
    query = _sorted(_filtered(query, question, ()), question, after, limit)
    found += await _read(connection, query)
    return sorted(found, key=lambda each: (each.received_at, each.id), reverse=True)[:limit]


async def _fitting(
    connection: AsyncConnection,
    keys: Keys,
    question: Question,
    guards: Collection[Guard],
    exact: Select[Any] | None,
    after: Place | None,
    limit: int,
) -> list[Found]:
    """Those that fit by what is kept of their records, or by nothing that a record would say."""
    asked = question.text.strip()
    conditions = [*_terms_of(question, await _topics(connection, question))]
    if exact is not None:
        query = _filtered(exact, question, conditions)
        return await _read(connection, _sorted(query, question, after, limit))
    if asked:
        if Guard.PERSONAL not in guards or not any(words(asked)):
            return []
        meant = await _meant(connection, keys, asked, Guard.SENSITIVE in guards)
        conditions += [_overlap(record_search.c.terms, each) for each in meant]
    if question.channel and (conditions or question.by_deadline):
        conditions.append(_overlap(record_search.c.terms, [f"=channel:{question.channel}"]))
    if not conditions:
        query = _filtered(rows(), question, ())
        return await _read(connection, _sorted(query, question, after, limit))
    if question.by_deadline:
        query = rows().join(record_search, record_search.c.appeal_id == appeal.c.id)
        query = _within(query.where(*conditions), appeal.c.received_at, question)
        return await _read(connection, _sorted(query, question, after, limit))
    return await _newest(connection, conditions, question, after, limit)


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
    return await _read(connection, query)


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


def _fits_unwritten(question: Question) -> bool:
    """Whether a contact of which nothing was written may fit: it is in a stage, and has no more
    than how and when it came.
    """
    known = replace(question, text="", stages=(), channel="", since=None, until=None)
    return Stage.CONTACT in question.stages and known == Question()


def _exactly(keys: Keys, asked: str, guards: Collection[Guard]) -> Select[Any] | None:
    """The appeals of the number, ИИН, БИН or telephone that was typed; None for anything else."""
    digits = re.sub(r"[\s.-]", "", asked)
    if is_valid(digits):
        return rows().where(appeal.c.number == digits)
    if Guard.SENSITIVE in guards and (identifier := _identifier(asked)):
        hashed = keys.hash("identifier", identifier)
        people = select(record_identifier.c.appeal_id).where(record_identifier.c.hash == hashed)
        return rows().where(appeal.c.id.in_(people))
    if Guard.PERSONAL in guards and _NUMBERS.fullmatch(asked) and (phones := telephone(asked)):
        called = select(appeal.c.id).where(appeal.c.caller_number.in_(phones))
        having = select(record_search.c.appeal_id).where(_overlap(record_search.c.terms, phones))
        # Not by OR, which could use neither index.
        return rows().where(appeal.c.id.in_(union(called, having)))
    return None


async def _newest(
    connection: AsyncConnection,
    conditions: Sequence[ColumnElement[bool]],
    question: Question,
    after: Place | None,
    limit: int,
) -> list[Found]:
    """The newest that fit: by stretches of days, so that words which many have cost no more."""
    now = datetime.now(UTC)
    at, ids = record_search.c.received_at, list[UUID]()
    query = _within(select(record_search.c.appeal_id).where(*conditions), at, question)
    query = query.order_by(at.desc(), record_search.c.appeal_id.desc())
    begin = min(question.until or now, now)
    if after is not None:
        query = query.where(tuple_(at, record_search.c.appeal_id) < after)
        # Its day too: others may have come then.
        begin = min(begin, after[0]) + timedelta(microseconds=1)
    for keys_of_days, before in stretches(begin):
        if question.since is not None and before is not None and before <= question.since:
            break
        part = query if keys_of_days is None else query.where(_overlap(DAYS, keys_of_days, Integer))
        part = part if before is None else part.where(at < before)
        ids += (await connection.execute(part.limit(limit - len(ids)))).scalars()
        if len(ids) >= limit:
            break
    return await _read(
        connection, _sorted(rows().where(appeal.c.id.in_(ids)), question, None, limit)
    )


async def _topics(connection: AsyncConnection, question: Question) -> list[str]:
    """The topic that is asked for, and its parts."""
    if not question.topic:
        return []
    options = (await definitions.form(connection)).options("topics")
    return [question.topic, *(each.code for each in options if each.parent == question.topic)]


def _terms_of(question: Question, topics: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """Filters as the database keeps them among the terms of records, and the district as we do."""
    asked = {
        "=stage:": [stage.value for stage in question.stages],
        "=kind:": [question.kind.value] if question.kind else [],
        "=direction:": [question.direction],
        "=topic:": topics,
        "=region:": [question.region],
        "=owner:": [question.owner],
    }
    for name, values in asked.items():
        if any(values):
            yield _overlap(record_search.c.terms, [f"{name}{value}" for value in values])
    if question.urgent:
        yield _overlap(record_search.c.terms, ["=urgent"])
    if question.district:
        yield _overlap(record_search.c.terms, [in_district(question.district)])


def _filtered(
    query: Select[Any], question: Question, conditions: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """Of these appeals those that fit the filters; the channel is known without a record too."""
    if conditions:
        query = query.join(record_search, record_search.c.appeal_id == appeal.c.id)
        query = query.where(*conditions)
    if question.channel:
        query = query.where(appeal.c.channel == question.channel)
    return _within(query, appeal.c.received_at, question)


def _within(query: Select[Any], at: ColumnElement[Any], question: Question) -> Select[Any]:
    if question.since is not None:
        query = query.where(at >= question.since)
    if question.until is not None:
        query = query.where(at < question.until)
    return query


def _sorted(query: Select[Any], question: Question, after: Place | None, limit: int) -> Select[Any]:
    if question.by_deadline:
        order = (record.c.due_on, appeal.c.id)
        query = query.where(record.c.due_on.is_not(None)).order_by(*order)
        if after is not None:
            query = query.where(tuple_(*order) > (after[0].date(), after[1]))
    else:
        newest = (appeal.c.received_at, appeal.c.id)
        query = query.order_by(*(column.desc() for column in newest))
        if after is not None:
            query = query.where(tuple_(*newest) < after)
    return query.limit(limit)


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[Found]:
    return [Found(*row) for row in await connection.execute(query)]


async def _meant(
    connection: AsyncConnection, keys: Keys, asked: str, sensitive: bool
) -> list[list[str]]:
    """All that each word of a question may stand for in `terms`."""
    said = {
        word: list(dict.fromkeys([*stems(word), folded(word)]))
        for word in list(dict.fromkeys(words(asked)))[:WORDS]
    }
    forms = [form for forms in said.values() for form in forms]
    query = select(search_word.c.word).where(search_word.c.word.in_(forms))
    known = set((await connection.execute(query)).scalars())
    meant = []
    for each in said.values():
        # Numbers are in no vocabulary.
        terms = [form for form in each if form in known or form.isdecimal()]
        if not terms:
            terms = [near for form in each for near in await _near(connection, form)]
        meant.append(terms + ([secret(keys, form) for form in each] if sensitive else []))
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


def _overlap(
    column: ColumnElement[Any], values: Sequence[Any], kind: type[Any] = Text
) -> ColumnElement[bool]:
    return column.op("&&", is_comparison=True)(cast(list(values), ARRAY(kind)))
