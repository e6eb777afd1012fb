"""What a record is found by, kept for it in the transaction that saves it.

A row of `record_search` holds the stems of a record's words and of its letters', its folded names
and its numbers, in one array. Sensitive words (a child's name, letters) are keyed hashes. The
database itself adds what records are filtered by, as `=stage:closed` (decision 47).
"""

from uuid import UUID

from sqlalchemy import Text, any_, delete, exists, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.callers import read_caller
from callcenter.appeals.tables import appeal
from callcenter.register import letters_store
from callcenter.register.fields import Content, Form, Guard
from callcenter.register.letters import Letter
from callcenter.register.private import Keys
from callcenter.register.tables import record_search, search_word
from callcenter.register.words import folded, grams, stems, words


def document(
    keys: Keys, form: Form, content: Content, caller_number: str | None
) -> tuple[set[str], set[str]]:
    """What a record is found by, and which of it are words for the vocabulary."""
    found: set[str] = set()
    plain: set[str] = set()
    for key, value in content.items():
        if key.endswith(".phone") and isinstance(value, str):
            found.update(telephone(value))
        if key.endswith((".phone", ".identifier")):
            continue  # numbers are found as a whole, an identifier by `record_identifier`
        is_secret = form.guard(key, content) is Guard.SENSITIVE
        is_name = key.endswith(".name")
        for word in words(value if isinstance(value, str) else " ".join(value)):
            said = [folded(word)] if is_name else list(stems(word))
            if is_secret:
                found.update(secret(keys, each) for each in said)
            else:
                plain.update(said)
    if form.option("district", content.get("district", "")) is not None:
        found.add(in_district(str(content["district"])))
    found.update(telephone(caller_number or ""))
    return found | plain, {word for word in plain if not word.isdecimal()}


def of_letter(keys: Keys, letter: Letter) -> set[str]:
    """What an appeal is found by of a letter, which is encrypted: by keyed hashes alone."""
    said = [word for text in (letter.number, letter.whom, letter.about) for word in words(text)]
    return {secret(keys, form) for word in said for form in (*stems(word), folded(word))}


async def index(
    connection: AsyncConnection, keys: Keys, form: Form, appeal_id: UUID, content: Content
) -> None:
    """Keep what a record is found by; in the transaction that saves it, after its row."""
    query = select(appeal.c.caller_number, appeal.c.received_at).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    terms, plain = document(keys, form, content, row.caller_number)
    letters = await letters_store.of_appeals(connection, keys, [appeal_id])
    for letter in letters.get(appeal_id, ()):
        terms |= of_letter(keys, letter)
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


async def begin(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Let a record be found of which nothing is written yet."""
    query = select(appeal.c.caller_number, appeal.c.received_at).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    terms = telephone(row.caller_number or "")
    await connection.execute(
        upsert(record_search)
        .values(appeal_id=appeal_id, terms=terms, received_at=row.received_at)
        .on_conflict_do_nothing()
    )


async def forget_words(connection: AsyncConnection, said: set[str]) -> None:
    """Take words out of the vocabulary that no record has any more: they may tell of somebody."""
    others = exists().where(
        record_search.c.terms.op("&&", is_comparison=True)(array([search_word.c.word], type_=Text))
    )
    await connection.execute(
        delete(search_word).where(
            search_word.c.word == any_(literal(sorted(said), ARRAY(Text))), ~others
        )
    )


def in_district(code: str) -> str:
    """What is kept of a record in this district; a word has no colon."""
    return f"district:{code}"


def telephone(text: str) -> list[str]:
    """The number that a text is, as it is kept; nothing if it is none."""
    caller = read_caller(text) if text else None
    return [caller.number] if caller is not None and caller.number is not None else []


def secret(keys: Keys, word: str) -> str:
    """What is kept of a word that nobody may read in the database."""
    return "#" + keys.hash("word", word).hex()[:32]
