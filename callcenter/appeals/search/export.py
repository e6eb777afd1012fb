"""Export of appeals as XLSX or CSV, audited before the first byte.

Personal data need a permission of their own. Rows are read some hundred at a time, so
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
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls.service import check_reason
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.form import store as form_store
from callcenter.appeals.labels import CHANNELS, DISPOSITIONS, KINDS, STAGES, RecordLabels
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import letters_store, store
from callcenter.appeals.record.service import guards_of
from callcenter.appeals.record.store import Exported
from callcenter.appeals.rules.fields import (
    PEOPLE,
    PEOPLE_LIMIT,
    AccessRule,
    Content,
    Field,
    Section,
    Value,
)
from callcenter.appeals.rules.states import AppealKind, AppealState, Disposition
from callcenter.appeals.search import query
from callcenter.appeals.search.query import CODES, SearchFilter, SearchHit
from callcenter.appeals.search.service import place_after
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_, Forbidden, InvalidRequest
from callcenter.platform.core.i18n import LANGUAGES, Translator
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work

SEARCH_BATCH = 2000
READ_BATCH = 200
CHUNK_SIZE = 256 * 1024  # bytes
ABANDONED_AFTER = 3600  # seconds after which a temporary file is removed
#: Characters that begin a formula in a spreadsheet, or are skipped before one.
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n")

NO_FILTER = N_("say which appeals the file should have: by words, stage, region or days")

Column = tuple[str, Callable[[Exported, Content], str]]


class ExportFormat(StrEnum):
    """The format of an export."""

    XLSX = "xlsx"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """The media type of the file."""
        sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        return sheet if self is ExportFormat.XLSX else "text/csv; charset=utf-8"


class TooManyAppeals(InvalidRequest):
    """More appeals fit than one file may hold: choose a region, a stage or fewer days."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An export as it is requested: which appeals, in which format and language.

    Numbers of callers are masked in personal data without `why_numbers`, the reason for which they
    must be whole: as when a person asks for all that is stored about them, or the law demands it.
    """

    question: SearchFilter
    format: ExportFormat
    personal: bool
    words: Translator
    why_numbers: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """An export that is permitted and audited: `pieces` are the bytes of the file."""

    format: ExportFormat
    pieces: AsyncIterator[bytes]


async def export(
    engine: AsyncEngine, keys: RecordKeys, settings: Settings, actor: Actor, request: ExportRequest
) -> Export:
    """Export the appeals that match, with labels in the language of the request.

    The audit entry is written when this returns. Raises Forbidden for personal data
    without its permission, InvalidRequest for an empty filter or a reason that is too long,
    TooManyAppeals.
    """
    question, personal = request.question, request.personal
    is_whole = bool(personal and request.why_numbers.strip())
    if personal and not actor.may(AppealPermission.EXPORT_PERSONAL):
        raise Forbidden("your role does not permit to take personal data of many appeals")
    if question == SearchFilter():
        raise InvalidRequest(NO_FILTER)
    guards = guards_of(actor) if personal else frozenset({AccessRule.OPEN})
    found = await _find_all(engine, keys, actor, question, settings.export_limit)
    async with unit_of_work(engine) as connection:
        labels = RecordLabels(request.words, await form_store.read_form(connection))
        detail = _filter_detail(question) | {
            "rows": len(found),
            "personal": personal,
            "format": request.format.value,
        }
        await audit_action(connection, actor, AppealAction.APPEALS_EXPORTED, "appeals", detail)
        if is_whole:
            actor.require(AppealPermission.SEE_CALLER_NUMBER)
            why: dict[str, str | int] = {
                "numbers": len(found),
                "reason": check_reason(request.why_numbers),
            }
            await audit_action(connection, actor, AppealAction.NUMBERS_LISTED, "export", why)
    shown = (lambda number: number) if is_whole else mask
    columns = [*_columns(labels, shown if personal else None), *_field_columns(labels, guards)]
    if AccessRule.PERSONAL in guards:
        columns.append(_letters_column(labels))
    rows = _rows(engine, keys, labels, found, columns, guards)
    if request.format is ExportFormat.CSV:
        return Export(request.format, _csv(rows))
    return Export(request.format, _chunks(await _xlsx(settings.exports, rows)))


def escape_formula(cell: str) -> str:
    """The cell, so that no spreadsheet takes it for a formula when it opens a CSV."""
    return f"'{cell}" if cell.startswith(FORMULA_PREFIXES) else cell


async def _find_all(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, question: SearchFilter, limit: int
) -> list[SearchHit]:
    """All matches, in batches of short transactions. Raises TooManyAppeals."""
    found: list[SearchHit] = []
    after = None
    while True:
        async with unit_of_work(engine) as connection:
            some = await query.find(
                connection, keys, question, guards_of(actor), after=after, limit=SEARCH_BATCH
            )
        found += some
        if len(found) > limit:
            raise TooManyAppeals(
                f"more than {limit} appeals fit: choose a region, a stage or fewer days"
            )
        if len(some) < SEARCH_BATCH:
            return found
        after = place_after(some[-1], by_deadline=question.by_deadline)


async def _rows(
    engine: AsyncEngine,
    keys: RecordKeys,
    labels: RecordLabels,
    found: Sequence[SearchHit],
    columns: Sequence[Column],
    guards: frozenset[AccessRule],
) -> AsyncIterator[list[list[str]]]:
    """Rows of the file, in batches; the first has the names of the columns."""
    yield [[name for name, _ in columns]]
    for begin in range(0, len(found), READ_BATCH):
        ids = [each.id for each in found[begin : begin + READ_BATCH]]
        async with unit_of_work(engine) as connection:
            exported = await store.list_exported(connection, keys, ids)
            letters = await letters_store.list_of_appeals(connection, keys, ids)
        exported = [replace(row, letters=letters.get(row.record.appeal_id, ())) for row in exported]
        visible = [(each, labels.form.visible(each.record.content, guards)) for each in exported]
        yield [[cell(*each) for _, cell in columns] for each in visible]


def _columns(labels: RecordLabels, shown: Callable[[str], str] | None) -> Iterator[Column]:
    """Columns that every appeal has; `shown` is how numbers are, None: they are not."""
    plain = labels.words.plain

    def fixed(name: str, cell: Callable[[Exported], str | None]) -> Column:
        return plain(name), lambda row, _: cell(row) or ""

    yield fixed(N_("Number"), lambda row: row.number)
    yield fixed(N_("Received"), lambda row: f"{row.received_at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}")
    yield fixed(N_("Channel"), lambda row: plain(CHANNELS.get(row.channel, row.channel)))
    yield fixed(N_("Language"), lambda row: LANGUAGES.get(row.language or ""))
    if shown:
        yield fixed(
            N_("Caller's number"), lambda row: row.caller_number and shown(row.caller_number)
        )
    yield fixed(N_("Kind"), lambda row: _label(plain, KINDS, row.record.kind))
    yield fixed(N_("Stage"), lambda row: _label(plain, STAGES, row.record.stage))
    yield fixed(
        N_("Which, without a request"),
        lambda row: _label(plain, DISPOSITIONS, row.record.disposition),
    )
    yield fixed(N_("Answers for it"), lambda row: row.record.owner)
    yield fixed(N_("Registered on"), lambda row: str(row.record.registered_on or ""))
    yield fixed(N_("Answer due on"), lambda row: str(row.record.due_on or ""))


def _field_columns(labels: RecordLabels, guards: frozenset[AccessRule]) -> Iterator[Column]:
    """Columns of the form's fields; people of one role share a column."""
    fields = [each for each in labels.form.fields if each.guard in guards]
    for field in (each for each in fields if each.section is Section.APPEAL):
        yield labels.name(field), _of_keys(labels, field, [field.code])
    for part in PEOPLE:
        several = part in ("affected", "accused")
        people = [f"{part}{n}" for n in range(1, PEOPLE_LIMIT + 1)] if several else [part]
        for field in (each for each in fields if each.section is Section.PERSON):
            keys = [f"{person}.{field.code}" for person in people]
            yield f"{labels.person(part)}: {labels.name(field)}", _of_keys(labels, field, keys)


def _letters_column(labels: RecordLabels) -> Column:
    """The column of letters, by the dates on them."""
    return labels.words.plain(N_("Letters and requests")), lambda row, _: " | ".join(
        labels.letter(each) for each in row.letters
    )


def _of_keys(
    labels: RecordLabels, field: Field, keys: Sequence[str]
) -> Callable[[Exported, Content], str]:
    def cell(_: Exported, content: Content) -> str:
        values: list[Value] = [content[key] for key in keys if key in content]
        return " | ".join(labels.answer(field, value) for value in values)

    return cell


def _label(
    plain: Callable[[str], str],
    words: dict[AppealKind, str] | dict[AppealState, str] | dict[Disposition, str],
    value: object,
) -> str:
    return next((plain(word) for each, word in words.items() if each is value), "")


async def _csv(rows: AsyncIterator[list[list[str]]]) -> AsyncIterator[bytes]:
    """CSV (RFC 4180) in UTF-8, with the mark by which spreadsheets recognise it."""
    yield "\ufeff".encode()
    async for some in rows:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([[escape_formula(cell) for cell in row] for row in some])
        yield text.getvalue().encode()


async def _xlsx(folder: Path, rows: AsyncIterator[list[list[str]]]) -> IO[bytes]:
    """XLSX as a file without a name, which is gone when it is closed or its process ends."""
    file = await asyncio.to_thread(_create_file, folder)
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


def _create_file(folder: Path) -> IO[bytes]:
    """Create a file without a name, and remove parts that killed processes left behind."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.stat().st_mtime < time.time() - ABANDONED_AFTER:
            shutil.rmtree(left, ignore_errors=True)
    return TemporaryFile(dir=folder)


def _write(sheet: xlsxwriter.worksheet.Worksheet, at: int, rows: list[list[str]]) -> None:
    for number, row in enumerate(rows, start=at):
        for column, cell in enumerate(row):
            if cell:
                sheet.write_string(number, column, cell)


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, CHUNK_SIZE):
            yield piece


def _filter_detail(question: SearchFilter) -> dict[str, str | int | bool]:
    """The filter for the audit log; its words are personal, so they are only counted."""
    detail: dict[str, str | int | bool] = {"words": len(question.text.split())}
    if question.stages:
        detail["stages"] = ",".join(stage.value for stage in question.stages)
    if question.kind is not None:
        detail["kind"] = question.kind.value
    detail |= {name: code for name in CODES if (code := getattr(question, name))}
    for name, at in (("since", question.since), ("until", question.until)):
        if at is not None:
            detail[name] = at.isoformat()
    return detail | {name: True for name in ("urgent", "by_deadline") if getattr(question, name)}
