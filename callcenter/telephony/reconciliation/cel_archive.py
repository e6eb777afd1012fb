"""Reader of all CEL files, rotated and packed ones too."""

import gzip
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from io import BufferedIOBase
from pathlib import Path

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.reconciliation.cel import CelEvent, parse

MARGIN = timedelta(minutes=1)  #: read before and after the requested time, for calls at its edge
LONGEST_LINE = 64 * 1024  # bytes; Asterisk writes no longer lines
OPEN_ATTEMPTS = 3  # at files that are renamed while they are opened


def lines_of(cel_file: Path, call_ids: Collection[str], since: datetime) -> Iterator[CelEvent]:
    """The lines of calls that began at `since` or later. It blocks.

    Raises OperationFailed when a file cannot be read.
    """
    named = re.compile(b"|".join(re.escape(each.encode()) for each in call_ids) or b"(?!)")
    # Most lines are of other calls: parsing them would block the rest of this process.
    found = map(parse, filter(named.search, raw_lines(cel_file, since - MARGIN)))
    return (line for line in found if line is not None and line.call_id in call_ids)


def raw_lines(cel_file: Path, since: datetime) -> Iterator[bytes]:
    """Whole lines of the CEL file and of rotated ones, packed by gzip or not. It blocks.

    Files that were not written to since are left out. Raises OperationFailed when one cannot be
    read."""
    with ExitStack() as stack:
        for file in _open_files(cel_file, since, stack):
            try:
                # The last line may not be whole yet; one that never will be is left out later.
                for line in iter(partial(file.readline, LONGEST_LINE), b""):
                    if line.endswith(b"\n") and line != b"\n":
                        yield line[:-1]
            except (OSError, EOFError) as exc:
                raise OperationFailed(f"cannot read the CEL file {cel_file}: {exc}") from exc


def _open_files(cel_file: Path, since: datetime, stack: ExitStack) -> list[BufferedIOBase]:
    """The open files, the oldest first; opened before reading, so that rotation is harmless."""
    for _ in range(OPEN_ATTEMPTS):
        try:
            found = [
                (each, each.stat().st_mtime) for each in cel_file.parent.glob(f"{cel_file.name}*")
            ]
            found.sort(key=lambda each: (each[0] == cel_file, each[1]))
            return [
                stack.enter_context(gzip.open(file) if file.suffix == ".gz" else file.open("rb"))
                for file, written in found
                if written >= since.timestamp()
            ]
        except FileNotFoundError:
            continue  # renamed at this moment
        except OSError as exc:
            raise OperationFailed(f"cannot open the CEL file {cel_file}: {exc}") from exc
    raise OperationFailed(f"the CEL file {cel_file} is renamed all the time")
