"""The directory as XLSX or CSV, written and read."""

import csv
import io
from collections.abc import Iterable, Sequence
from enum import StrEnum

import xlsxwriter

from callcenter.appeals.search.export import escape_formula
from callcenter.bodies.rules.directory_table import FileFault, Row, UnreadableFile
from callcenter.bodies.spreadsheet import read_spreadsheet

_ARCHIVE = b"PK"  # with which an XLSX begins


class FileFormat(StrEnum):
    """The format of a file of the directory."""

    XLSX = "xlsx"
    CSV = "csv"


def write(rows: Iterable[Row], form: FileFormat) -> bytes:
    """A file with these rows, all cells of it texts."""
    return _xlsx(rows) if form is FileFormat.XLSX else write_csv(rows).encode("utf-8-sig")


def write_csv(rows: Iterable[Row]) -> str:
    """CSV (RFC 4180) that no spreadsheet takes for formulas."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([escape_formula(cell) for cell in row] for row in rows)
    return text.getvalue()


def read(content: bytes) -> list[Row]:
    """The rows of a file. Raises UnreadableFile. Blocks."""
    try:
        if content.startswith(_ARCHIVE):
            return [*read_spreadsheet(content)]
        return read_csv(content.decode("utf-8-sig"))
    except ValueError as exc:
        raise UnreadableFile(FileFault.FORMAT) from exc


def read_csv(text: str) -> list[Row]:
    """The rows of a CSV with commas, semicolons or tabs. Raises UnreadableFile."""
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as exc:
        raise UnreadableFile(FileFault.FORMAT) from exc
    return [[_unescape(cell) for cell in row] for row in rows]


def _unescape(cell: str) -> str:
    """The cell as it was before `escape_formula`."""
    return cell[1:] if cell.startswith("'") and escape_formula(cell[1:]) == cell else cell


def _xlsx(rows: Iterable[Sequence[str]]) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 1)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            if cell:
                sheet.write_string(number, column, cell)
    book.close()
    return file.getvalue()
