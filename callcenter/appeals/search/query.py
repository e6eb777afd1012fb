"""Full-text search of appeals over the index of `record.search_index`.

Every word of a search must match, in one of its forms, with or without its Kazakh letters.
Misspelt words are corrected by the vocabulary: a word that no appeal has is looked up by its
trigrams.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
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

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form import store
from callcenter.appeals.record.search_index import district_term, phone_terms, word_hash
from callcenter.appeals.rules.fields import AccessRule
from callcenter.appeals.rules.iin import parse_identifier
from callcenter.appeals.rules.number import is_valid
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.rules.text_analysis import (
    fold_name,
    grams,
    query_spellings,
    query_stems,
    stems,
    words,
)
from callcenter.appeals.tables import (
    DAYS,
    RUSSIFIED_WORD,
    record,
    record_identifier,
    record_search,
    search_word,
)
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.pagination import Place

LIMIT = 50
EARLIER_LIMIT = 10  # appeals of the same person
WORD_LIMIT = 8  # of a search; more only make it slower
CORRECTION_LIMIT = 5  # words of the vocabulary that a misspelt one may stand for
SIMILARITY_THRESHOLD = 0.45  # least share of trigrams that two similar words have in common
DAYS_FROM = date(2000, 1, 1)  # on which days are counted from
BLOCK = 16  # days, which `tables.DAYS` has as one key too
BLOCKS = (1, 2, 4)  # lengths of ranges in blocks, after the single days

# Similarity of words by the trigrams that they have in common (Dice's coefficient).
_SIMILAR_WORDS = text(
    """
    SELECT word FROM search_word CROSS JOIN LATERAL unnest(grams) AS piece
    WHERE grams && CAST(:pieces AS text[]) AND piece = ANY(CAST(:pieces AS text[]))
    GROUP BY word
    HAVING 2.0 * count(*) / (cardinality(grams) + cardinality(CAST(:pieces AS text[]))) >= :least
    ORDER BY 2.0 * count(*) / (cardinality(grams) + cardinality(CAST(:pieces AS text[]))) DESC, word
    LIMIT :limit
    """
)
# No generic plan: the best one depends on how many appeals have a word.
_PLAN_EACH = text("SET LOCAL plan_cache_mode = force_custom_plan")
_NUMBERS = re.compile(r"[\d\s()+-]{4,}")


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """A search: words, and filters; the newest first, or `by_deadline`."""

    text: str = ""
    stages: Sequence[AppealState] = ()
    kind: AppealKind | None = None
    channel: str = ""
    direction: str = ""
    topic: str = ""  #: its parts too
    region: str = ""
    district: str = ""
    owner: str = ""  #: name of the owner
    urgent: bool = False
    since: datetime | None = None
    until: datetime | None = None
    by_deadline: bool = False


#: Filters that are one code each.
CODES = ("channel", "direction", "topic", "region", "district", "owner")


@dataclass(frozen=True, slots=True)
class SearchHit:
    """An appeal found by a search or a work list.

    Region, topics, applicant and caller are for whom the form's access rules and permissions let
    see them; of what is sensitive there is nothing.
    """

    id: UUID
    number: str
    received_at: datetime
    stage: str
    kind: str | None
    due_on: date | None
    owner: str | None
    topics: Sequence[str] | None  #: codes, the first is that of the panel
    region: str | None  #: its code
    applicant: str | None  #: name
    caller_kind: str
    caller_number: str | None
    outcome: str | None  #: of its call
    urgent: Sequence[str]  #: why its call is urgent


async def find(
    connection: AsyncConnection,
    keys: RecordKeys,
    question: SearchFilter,
    guards: Collection[AccessRule],
    *,
    after: Place | None = None,
    limit: int = LIMIT + 1,
) -> list[SearchHit]:
    """Appeals that match every word and filter of a search.

    `after` is the time of arrival (by deadline: its midnight, UTC) and id of the last hit read.
    Fields beyond these guards match nothing. Words and telephones are all personal: the index does
    not say of which field they are.
    """
    await connection.execute(_PLAN_EACH)
    exact = _exact_match(keys, question.text.strip(), guards)
    found = await _find_indexed(connection, keys, question, guards, exact, after, limit)
    if not _matches_unwritten(question) or (exact is None and question.text.strip()):
        return found
    query = (select_hits() if exact is None else exact).where(~appeal.c.written)
    query = _in_order(_with_filters(query, question, ()), question, after, limit)
    found += await _read(connection, query)
    return sorted(found, key=lambda each: (each.received_at, each.id), reverse=True)[:limit]


async def _find_indexed(
    connection: AsyncConnection,
    keys: RecordKeys,
    question: SearchFilter,
    guards: Collection[AccessRule],
    exact: Select[Any] | None,
    after: Place | None,
    limit: int,
) -> list[SearchHit]:
    """Matches among indexed records, or by filters that need no index."""
    typed = question.text.strip()
    conditions = [*_terms_of(question, await _topics(connection, question))]
    if exact is not None:
        query = _with_filters(exact, question, conditions)
        return await _read(connection, _in_order(query, question, after, limit))
    if typed:
        if AccessRule.PERSONAL not in guards or not any(words(typed)):
            return []
        alternatives = await _expand_words(connection, keys, typed, AccessRule.SENSITIVE in guards)
        conditions += [_overlap(record_search.c.terms, each) for each in alternatives]
    if question.channel and (conditions or question.by_deadline):
        conditions.append(_overlap(record_search.c.terms, [f"=channel:{question.channel}"]))
    if not conditions:
        query = _with_filters(select_hits(), question, ())
        return await _read(connection, _in_order(query, question, after, limit))
    if question.by_deadline:
        query = select_hits().join(record_search, record_search.c.appeal_id == appeal.c.id)
        query = _with_dates(query.where(*conditions), appeal.c.received_at, question)
        return await _read(connection, _in_order(query, question, after, limit))
    return await _newest(connection, conditions, question, after, limit)


async def find_of_same_person(connection: AsyncConnection, appeal_id: UUID) -> list[SearchHit]:
    """Other appeals of the same telephone, ИИН or БИН; the newest ten."""
    caller = select(appeal.c.caller_number).where(appeal.c.id == appeal_id).scalar_subquery()
    hashes = select(record_identifier.c.hash).where(record_identifier.c.appeal_id == appeal_id)
    same = select(record_identifier.c.appeal_id).where(record_identifier.c.hash.in_(hashes))
    query = (
        select_hits()
        .where(or_(appeal.c.caller_number == caller, appeal.c.id.in_(same)))
        .where(appeal.c.id != appeal_id)
        .order_by(appeal.c.received_at.desc())
        .limit(EARLIER_LIMIT)
    )
    return await _read(connection, query)


@cache  # to build it takes longer than to find by it
def select_hits() -> Select[Any]:
    """All appeals, with the columns of SearchHit; one without a record is a contact."""
    return select(
        appeal.c.id,
        appeal.c.number,
        appeal.c.received_at,
        func.coalesce(record.c.stage, AppealState.CONTACT.value),
        record.c.kind,
        record.c.due_on,
        record.c.owner,
        record.c.content["topics"],
        record.c.content["region"].astext,
        record.c.content["applicant.name"].astext,
        appeal.c.caller_kind,
        appeal.c.caller_number,
        appeal.c.outcome,
        appeal.c.urgent,
    ).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))


def _matches_unwritten(question: SearchFilter) -> bool:
    """Whether contacts without a record may match: they have a stage, channel and time only."""
    others = replace(question, text="", stages=(), channel="", since=None, until=None)
    return AppealState.CONTACT in question.stages and others == SearchFilter()


def _exact_match(
    keys: RecordKeys, typed: str, guards: Collection[AccessRule]
) -> Select[Any] | None:
    """Appeals of a typed number, ИИН, БИН or telephone; None for any other text."""
    if AccessRule.SENSITIVE in guards and (identifier := _identifier(typed)):
        hashed = keys.hash("identifier", identifier)
        people = select(record_identifier.c.appeal_id).where(record_identifier.c.hash == hashed)
        return select_hits().where(appeal.c.id.in_(people))
    digits = re.sub(r"[\s.-]", "", typed)
    # One telephone number of ten could be the number of an appeal too.
    found = [select(appeal.c.id).where(appeal.c.number == digits)] if is_valid(digits) else []
    if (
        AccessRule.PERSONAL in guards
        and _NUMBERS.fullmatch(typed)
        and (phones := phone_terms(typed))
    ):
        found.append(select(appeal.c.id).where(appeal.c.caller_number.in_(phones)))
        having = select(record_search.c.appeal_id)
        found.append(having.where(_overlap(record_search.c.terms, phones)))
    # Not by OR, which could use no index.
    return select_hits().where(appeal.c.id.in_(union(*found))) if found else None


async def _newest(
    connection: AsyncConnection,
    conditions: Sequence[ColumnElement[bool]],
    question: SearchFilter,
    after: Place | None,
    limit: int,
) -> list[SearchHit]:
    """The newest matches, by ranges of days, so that frequent words cost no more."""
    now = datetime.now(UTC)
    at, ids = record_search.c.received_at, list[UUID]()
    query = _with_dates(select(record_search.c.appeal_id).where(*conditions), at, question)
    query = query.order_by(at.desc(), record_search.c.appeal_id.desc())
    begin = min(question.until or now, now)
    if after is not None:
        query = query.where(tuple_(at, record_search.c.appeal_id) < after)
        # Its day too: others may have come then.
        begin = min(begin, after[0]) + timedelta(microseconds=1)
    for keys_of_days, before in day_ranges(begin):
        if question.since is not None and before is not None and before <= question.since:
            break
        part = query if keys_of_days is None else query.where(_overlap(DAYS, keys_of_days, Integer))
        part = part if before is None else part.where(at < before)
        ids += (await connection.execute(part.limit(limit - len(ids)))).scalars()
        if len(ids) >= limit:
            break
    return await _read(
        connection, _in_order(select_hits().where(appeal.c.id.in_(ids)), question, None, limit)
    )


def day_ranges(last: datetime) -> Iterator[tuple[Sequence[int] | None, datetime | None]]:
    """Ranges of days as keys of `tables.DAYS`, that of `last` first, with the end of each.

    The end is exclusive, and None for the first one. The last one has no keys: all before.
    """
    newest = (last.astimezone(UTC).date() - DAYS_FROM).days
    block = newest // BLOCK
    begin = max(block * BLOCK, newest - 1)
    yield range(begin, newest + 1), None
    if begin > block * BLOCK:
        yield range(block * BLOCK, begin), _day_start(begin)
    for length in BLOCKS:
        yield range(-block, length - block), _day_start(block * BLOCK)
        block -= length
    yield None, _day_start(block * BLOCK)


def _day_start(day: int) -> datetime:
    return datetime.combine(DAYS_FROM + timedelta(days=day), time(), UTC)


async def _topics(connection: AsyncConnection, question: SearchFilter) -> list[str]:
    """The topic of the filter, and its parts."""
    if not question.topic:
        return []
    options = (await store.read_form(connection)).options("topics")
    return [question.topic, *(each.code for each in options if each.parent == question.topic)]


def _terms_of(question: SearchFilter, topics: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """Conditions of the filters that are terms of the index."""
    filters = {
        "=stage:": [stage.value for stage in question.stages],
        "=kind:": [question.kind.value] if question.kind else [],
        "=direction:": [question.direction],
        "=topic:": topics,
        "=region:": [question.region],
        "=owner:": [question.owner],
    }
    for name, values in filters.items():
        if any(values):
            yield _overlap(record_search.c.terms, [f"{name}{value}" for value in values])
    if question.urgent:
        yield _overlap(record_search.c.terms, ["=urgent"])
    if question.district:
        yield _overlap(record_search.c.terms, [district_term(question.district)])


def _with_filters(
    query: Select[Any], question: SearchFilter, conditions: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """The query with the filters; the channel applies to appeals without a record too."""
    if conditions:
        query = query.join(record_search, record_search.c.appeal_id == appeal.c.id)
        query = query.where(*conditions)
    if question.channel:
        query = query.where(appeal.c.channel == question.channel)
    return _with_dates(query, appeal.c.received_at, question)


def _with_dates(query: Select[Any], at: ColumnElement[Any], question: SearchFilter) -> Select[Any]:
    if question.since is not None:
        query = query.where(at >= question.since)
    if question.until is not None:
        query = query.where(at < question.until)
    return query


def _in_order(
    query: Select[Any], question: SearchFilter, after: Place | None, limit: int
) -> Select[Any]:
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


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[SearchHit]:
    return [SearchHit(*row) for row in await connection.execute(query)]


async def _expand_words(
    connection: AsyncConnection, keys: RecordKeys, typed: str, sensitive: bool
) -> list[list[str]]:
    """Terms of the index that each word of a search may stand for."""
    word_forms = {
        word: {*query_stems(word), fold_name(word)}
        for word in list(dict.fromkeys(words(typed)))[:WORD_LIMIT]
    }
    forms = [form for forms in word_forms.values() for form in forms]
    russified = [form for word in word_forms for form in query_spellings(word)]
    query = select(search_word.c.word, RUSSIFIED_WORD).where(
        or_(search_word.c.word.in_(forms), RUSSIFIED_WORD.in_(russified))
    )
    vocabulary = [tuple(row) for row in await connection.execute(query)]
    alternatives = []
    for word, each in word_forms.items():
        spellings = query_spellings(word)
        # Numbers are in no vocabulary.
        terms = [form for form in each if form.isdecimal()]
        terms += [stem for stem, spelt in vocabulary if stem in each or spelt in spellings]
        if not terms:
            near = dict.fromkeys((*stems(word), fold_name(word)))
            terms = [other for form in near for other in await _similar_words(connection, form)]
        if sensitive:
            terms += [word_hash(keys, form) for form in each.union(spellings)]
        alternatives.append(terms)
    return alternatives


async def _similar_words(connection: AsyncConnection, word: str) -> list[str]:
    """Words of the vocabulary that differ from this one by an error or two."""
    found = await connection.execute(
        _SIMILAR_WORDS,
        {"pieces": grams(word), "least": SIMILARITY_THRESHOLD, "limit": CORRECTION_LIMIT},
    )
    return list(found.scalars())


def _identifier(text: str) -> str | None:
    try:
        return parse_identifier(text)
    except InvalidRequest:
        return None


def _overlap(
    column: ColumnElement[Any], values: Sequence[Any], kind: type[Any] = Text
) -> ColumnElement[bool]:
    return column.op("&&", is_comparison=True)(cast(list(values), ARRAY(kind)))
