"""Search index of records, written in the transaction that saves a record.

A row of `record_search` holds the stems of a record's words and of its letters', its folded names
and its numbers, in one array. Sensitive words (a child's name, letters) are keyed hashes. The
database itself adds what records are filtered by, as `=stage:closed` (docs/decisions/0044).
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Text, any_, delete, exists, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import FurtherNumbers, SearchableText
from callcenter.appeals.rules.fields import AccessRule, Content, Form
from callcenter.appeals.rules.text_analysis import fold_name, grams, russified_stems, stems, words
from callcenter.appeals.tables import record_search, search_word
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.registry import offers


def build_terms(
    keys: RecordKeys, form: Form, content: Content, caller_number: str | None
) -> tuple[set[str], set[str]]:
    """The search terms of a record, and those of them that are words of the vocabulary."""
    found: set[str] = set()
    plain: set[str] = set()
    for key, value in content.items():
        if key.endswith(".phone") and isinstance(value, str):
            found.update(phone_terms(value))
        if key.endswith((".phone", ".identifier")):
            continue  # numbers are found as a whole, an identifier by `record_identifier`
        is_secret = form.guard(key, content) is AccessRule.SENSITIVE
        is_name = key.endswith(".name")
        for word in words(value if isinstance(value, str) else " ".join(value)):
            if is_secret:
                forms = [fold_name(word)] if is_name else [*stems(word), *russified_stems(word)]
                found.update(word_hash(keys, each) for each in forms)
            else:
                plain.update([fold_name(word)] if is_name else stems(word))
    if form.option("district", content.get("district", "")) is not None:
        found.add(district_term(str(content["district"])))
    found.update(phone_terms(caller_number or ""))
    return found | plain, {word for word in plain if not word.isdecimal()}


def secrets_of(keys: RecordKeys, texts: Sequence[str]) -> set[str]:
    """Search terms of texts that are encrypted elsewhere, as keyed hashes."""
    tokens = [word for text in texts for word in words(text)]
    forms = {
        form for word in tokens for form in (*stems(word), *russified_stems(word), fold_name(word))
    }
    return {word_hash(keys, form) for form in forms}


async def index(
    connection: AsyncConnection, keys: RecordKeys, form: Form, appeal_id: UUID, content: Content
) -> None:
    """Index a record, in the transaction that saves it and after its row."""
    query = select(appeal.c.caller_number, appeal.c.received_at).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    terms, plain = build_terms(keys, form, content, row.caller_number)
    for source in offers(SearchableText):
        terms |= secrets_of(keys, await source.read(connection, keys, appeal_id))
    for further in offers(FurtherNumbers):
        terms.update(await further.read(connection, keys, appeal_id))
    values = {"terms": sorted(terms), "received_at": row.received_at}
    await connection.execute(
        upsert(record_search)
        .values(appeal_id=appeal_id, **values)
        .on_conflict_do_update(index_elements=["appeal_id"], set_=values)
    )
    # Sorted, so that concurrent saves do not deadlock.
    entries = [{"word": word, "grams": grams(word)} for word in sorted(plain)]
    if entries:
        await connection.execute(upsert(search_word).on_conflict_do_nothing(), entries)


async def index_empty(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Index a record without content, by its number and filters."""
    query = select(appeal.c.caller_number, appeal.c.received_at).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    terms = phone_terms(row.caller_number or "")
    await connection.execute(
        upsert(record_search)
        .values(appeal_id=appeal_id, terms=terms, received_at=row.received_at)
        .on_conflict_do_nothing()
    )


async def delete_words(connection: AsyncConnection, vocabulary: set[str]) -> None:
    """Delete words of the vocabulary that no record has any more: they may be personal."""
    others = exists().where(
        record_search.c.terms.op("&&", is_comparison=True)(array([search_word.c.word], type_=Text))
    )
    await connection.execute(
        delete(search_word).where(
            search_word.c.word == any_(literal(sorted(vocabulary), ARRAY(Text))), ~others
        )
    )


def district_term(code: str) -> str:
    """The search term of a district; a word has no colon."""
    return f"district:{code}"


def phone_terms(text: str) -> list[str]:
    """The search term of a telephone number; none for another text."""
    caller = parse_caller_id(text) if text else None
    return [caller.number] if caller is not None and caller.number is not None else []


def word_hash(keys: RecordKeys, word: str) -> str:
    """The search term of a sensitive word: its keyed hash."""
    return "#" + keys.hash("word", word).hex()[:32]
