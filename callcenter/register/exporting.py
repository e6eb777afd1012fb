"""Many appeals as a file, XLSX or CSV: who takes them, and what, is audited before the first byte.

Personal data are in it only by a permission of its own. Rows are read some hundred at a time, so
that a large file takes no more memory than a small one.
"""

import asyncio
import csv
import io
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import xlsxwriter

from callcenter.audit.actions import Action
from callcenter.audit.store import record as audit
from callcenter.errors import N_, AskedWrongly
from callcenter.register import definitions, letters_store, searching, store
from callcenter.register.fields import PEOPLE, SEVERAL, Content, Field, Guard, Section, Value
from callcenter.register.finding import place_of
from callcenter.register.handling import guards_of
from callcenter.register.private import Keys
from callcenter.register.searching import CODES, Found, Question
from callcenter.register.stages import Kind, Stage
from callcenter.register.store import Exported
from callcenter.register.wording import CHANNELS, KINDS, STAGES, Telling
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import Forbidden
from callcenter.web.permissions import Permission
from callcenter.web.site import Site, Visit
from callcenter.web.words import LANGUAGES, ZONE

FOUND_AT_ONCE = 2000
READ_AT_ONCE = 200
PIECE = 256 * 1024  # bytes
ABANDONED = 3600  # seconds after which nobody writes a file any more
#: What a spreadsheet takes for a formula, or skips before one.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Column = tuple[str, Callable[[Exported, Content], str]]


class Format(StrEnum):
    """What the file is."""

    XLSX = "xlsx"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """As it is told to a browser."""
        sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        return sheet if self is Format.XLSX else "text/csv; charset=utf-8"


class TooMany(AskedWrongly):
    """More appeals fit than one file may hold: choose a region, a stage or fewer days."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was asked for and is allowed: `pieces` are the file."""

    format: Format
    pieces: AsyncIterator[bytes]


async def export(
    site: Site,
    visit: Visit,
    question: Question,
    form: Format,
    *,
    personal: bool,
    language: str,
) -> Export:
    """The appeals that fit, as a file with the words of a language.

    That they were taken is in the audit log when this returns. Raises Forbidden for personal data
    without its permission, AskedWrongly without a question, TooMany.
    """
    if personal and not visit.may(Permission.EXPORT_PERSONAL):
        raise Forbidden("your role does not permit to take personal data of many appeals")
    if question == Question():
        raise AskedWrongly("say which appeals: by words, stage, region or days")
    guards = guards_of(visit) if personal else frozenset({Guard.OPEN})
    found = await _found(site, visit, question)
    async with unit_of_work(site.engine) as connection:
        say = Telling(site.words[language], await definitions.form(connection))
        await audit(
            connection,
            who=visit.who,
            action=Action.APPEALS_EXPORTED,
            subject="appeals",
            detail=_said(question)
            | {"rows": len(found), "personal": personal, "format": form.value},
            from_address=visit.address,
        )
    number = personal and visit.may(Permission.SEE_CALLER_NUMBER)
    columns = [*_columns(say, caller=number), *_field_columns(say, guards)]
    if Guard.PERSONAL in guards:
        columns.append(_letters_column(say))
    rows = _rows(site, say, found, columns, guards)
    if form is Format.CSV:
        return Export(form, _csv(rows))
    return Export(form, _pieces(await _xlsx(site.settings.var / "exports", rows)))


def guarded(cell: str) -> str:
    """The cell as no spreadsheet takes it for a formula when it opens a CSV."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


async def _found(site: Site, visit: Visit, question: Question) -> list[Found]:
    """All that fit, by steps: none holds the database for long. Raises TooMany."""
    keys, limit = Keys.read(site.settings), site.settings.export_limit
    found: list[Found] = []
    after = None
    while True:
        async with unit_of_work(site.engine) as connection:
            some = await searching.find(
                connection, keys, question, guards_of(visit), after=after, limit=FOUND_AT_ONCE
            )
        found += some
        if len(found) > limit:
            raise TooMany(f"more than {limit} appeals fit: choose a region, a stage or fewer days")
        if len(some) < FOUND_AT_ONCE:
            return found
        after = place_of(some[-1], by_deadline=question.by_deadline)


async def _rows(
    site: Site,
    say: Telling,
    found: Sequence[Found],
    columns: Sequence[Column],
    guards: frozenset[Guard],
) -> AsyncIterator[list[list[str]]]:
    """Rows of the file, some at a time; the first is the names of columns."""
    keys = Keys.read(site.settings)
    yield [[name for name, _ in columns]]
    for begin in range(0, len(found), READ_AT_ONCE):
        ids = [each.id for each in found[begin : begin + READ_AT_ONCE]]
        async with unit_of_work(site.engine) as connection:
            known = await store.exported(connection, keys, ids)
            letters = await letters_store.of_appeals(connection, keys, ids)
        known = [replace(row, letters=letters.get(row.record.appeal_id, ())) for row in known]
        visible = [(each, say.form.visible(each.record.content, guards)) for each in known]
        yield [[cell(*each) for _, cell in columns] for each in visible]


def _columns(say: Telling, *, caller: bool) -> Iterator[Column]:
    """What every appeal has."""
    plain = say.words.plain

    def fixed(name: str, cell: Callable[[Exported], str | None]) -> Column:
        return plain(name), lambda row, _: cell(row) or ""

    yield fixed(N_("Number"), lambda row: row.number)
    yield fixed(N_("Received"), lambda row: f"{row.received_at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}")
    yield fixed(N_("Channel"), lambda row: plain(CHANNELS.get(row.channel, row.channel)))
    yield fixed(N_("Language"), lambda row: LANGUAGES.get(row.language or ""))
    if caller:
        yield fixed(N_("Caller's number"), lambda row: row.caller_number)
    yield fixed(N_("Kind"), lambda row: _word(plain, KINDS, row.record.kind))
    yield fixed(N_("Stage"), lambda row: _word(plain, STAGES, row.record.stage))
    yield fixed(N_("Answers for it"), lambda row: row.record.owner)
    yield fixed(N_("Registered on"), lambda row: str(row.record.registered_on or ""))
    yield fixed(N_("Answer due on"), lambda row: str(row.record.due_on or ""))


def _field_columns(say: Telling, guards: frozenset[Guard]) -> Iterator[Column]:
    """What the form asks of the appeal, and of each person; people of one part share a column."""
    asked = [each for each in say.form.fields if each.guard in guards]
    for field in (each for each in asked if each.section is Section.APPEAL):
        yield say.name(field), _of_keys(say, field, [field.code])
    for part in PEOPLE:
        several = part in ("affected", "accused")
        people = [f"{part}{n}" for n in range(1, SEVERAL + 1)] if several else [part]
        for field in (each for each in asked if each.section is Section.PERSON):
            keys = [f"{person}.{field.code}" for person in people]
            yield f"{say.person(part)}: {say.name(field)}", _of_keys(say, field, keys)


def _letters_column(say: Telling) -> Column:
    """The letters of an appeal, by the days on them."""
    return say.words.plain(N_("Letters and requests")), lambda row, _: " | ".join(
        say.letter(each) for each in row.letters
    )


def _of_keys(say: Telling, field: Field, keys: Sequence[str]) -> Callable[[Exported, Content], str]:
    def cell(_: Exported, content: Content) -> str:
        values: list[Value] = [content[key] for key in keys if key in content]
        return " | ".join(say.answer(field, value) for value in values)

    return cell


def _word(
    plain: Callable[[str], str], words: dict[Kind, str] | dict[Stage, str], value: object
) -> str:
    return next((plain(word) for each, word in words.items() if each is value), "")


async def _csv(rows: AsyncIterator[list[list[str]]]) -> AsyncIterator[bytes]:
    """RFC 4180 in UTF-8, with the mark by which spreadsheets know it."""
    yield "\ufeff".encode()
    async for some in rows:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([[guarded(cell) for cell in row] for row in some])
        yield text.getvalue().encode()


async def _xlsx(folder: Path, rows: AsyncIterator[list[list[str]]]) -> IO[bytes]:
    """A file without a name; it is gone when it is closed, or its process ends."""
    file = await asyncio.to_thread(_begin, folder)
    try:
        with TemporaryDirectory(dir=folder) as parts:
            # All cells are texts: none is a formula, a link or a number that loses its zeros.
            options = {"constant_memory": True, "tmpdir": parts}
            book = xlsxwriter.Workbook(file, options)
            sheet = book.add_worksheet()
            sheet.freeze_panes(1, 0)
            at = 0
            async for some in rows:
                await asyncio.to_thread(_write, sheet, at, some)
                at += len(some)
            await asyncio.to_thread(book.close)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _begin(folder: Path) -> IO[bytes]:
    """A new file without a name. Parts of files whose process was killed are removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.stat().st_mtime < time.time() - ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    return TemporaryFile(dir=folder)


def _write(sheet: xlsxwriter.worksheet.Worksheet, at: int, rows: list[list[str]]) -> None:
    for number, row in enumerate(rows, start=at):
        for column, cell in enumerate(row):
            if cell:
                sheet.write_string(number, column, cell)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def _said(question: Question) -> dict[str, str | int | bool]:
    """The question for the audit log; its words are personal, so they are only counted."""
    said: dict[str, str | int | bool] = {"words": len(question.text.split())}
    if question.stages:
        said["stages"] = ",".join(stage.value for stage in question.stages)
    if question.kind is not None:
        said["kind"] = question.kind.value
    said |= {name: code for name in CODES if (code := getattr(question, name))}
    for name, at in (("since", question.since), ("until", question.until)):
        if at is not None:
            said[name] = at.isoformat()
    return said | {name: True for name in ("urgent", "by_deadline") if getattr(question, name)}
