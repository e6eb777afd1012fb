"""Rows of an XLSX, read by a process of its own: a hostile file ends that alone.

An archive of kilobytes may hold gigabytes, and for two cells far from each other the reader
allocates all cells between them, or aborts.
"""

import json
import resource
import subprocess
import sys
from datetime import datetime
from io import BytesIO

import python_calamine

MEMORY_LIMIT = 256 * 1024**2  # bytes
CPU_LIMIT = 10  # seconds
ROWS_LIMIT = 5001  # a row more than the longest directory has
WRITTEN_LIMIT = 4 * 1024**2  # characters of all rows


def read_spreadsheet(content: bytes) -> list[list[str]]:
    """The rows of the first sheet as texts. Raises ValueError for what cannot be read. Blocks."""
    reader = subprocess.run(
        (sys.executable, "-I", __file__), input=content, capture_output=True, check=False
    )
    if reader.returncode:
        raise ValueError(f"the spreadsheet cannot be read: exit status {reader.returncode}")
    rows: list[list[str]] = json.loads(reader.stdout)
    return rows


def text_of(cell: object) -> str:
    """A cell as text: a spreadsheet may have made a number or a day of it."""
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
    book = python_calamine.load_workbook(BytesIO(sys.stdin.buffer.read()))
    sheet = book.get_sheet_by_index(0).to_python(skip_empty_area=False, nrows=ROWS_LIMIT)
    written = json.dumps([[text_of(cell) for cell in row] for row in sheet])
    if len(written) > WRITTEN_LIMIT:
        sys.exit("too long")
    sys.stdout.write(written)


if __name__ == "__main__":
    _main()
