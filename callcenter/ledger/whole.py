"""The whole of the ledger's files, read anew."""

import gzip
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from io import BufferedIOBase
from pathlib import Path

from callcenter.asterisk.ledger import Line, parse
from callcenter.errors import WeFailed

NEAR = timedelta(minutes=1)  #: beyond the time that is asked for: what may be its other half
LONGEST_LINE = 64 * 1024  # bytes; what is longer is no line of the switch's
TRIES = 3  # at files that are renamed while they are opened


def lines_of(ledger: Path, call_ids: Collection[str], since: datetime) -> Iterator[Line]:
    """The lines of calls that began then or later, read again. It blocks.

    Raises WeFailed when a file cannot be read.
    """
    named = re.compile(b"|".join(re.escape(each.encode()) for each in call_ids) or b"(?!)")
    # Most lines are of other calls: to parse them would hold up everybody else in this process.
    found = map(parse, filter(named.search, raw_lines(ledger, since - NEAR)))
    return (line for line in found if line is not None and line.call_id in call_ids)


def raw_lines(ledger: Path, since: datetime) -> Iterator[bytes]:
    """Whole lines of the ledger and of what it was renamed to, packed by gzip or not. It blocks.

    Files that were not written to since are left out. Raises WeFailed when one cannot be read.
    """
    with ExitStack() as stack:
        for file in _opened(ledger, since, stack):
            try:
                # The last line may not be whole yet; one that never will be is told apart later.
                for line in iter(partial(file.readline, LONGEST_LINE), b""):
                    if line.endswith(b"\n") and line != b"\n":
                        yield line[:-1]
            except (OSError, EOFError) as exc:
                raise WeFailed(f"cannot read the switch's ledger {ledger}: {exc}") from exc


def _opened(ledger: Path, since: datetime, stack: ExitStack) -> list[BufferedIOBase]:
    """The oldest first. All are open before the first is read: renaming changes nothing then."""
    for _ in range(TRIES):
        try:
            found = [(each, each.stat().st_mtime) for each in ledger.parent.glob(f"{ledger.name}*")]
            found.sort(key=lambda each: (each[0] == ledger, each[1]))
            return [
                stack.enter_context(gzip.open(file) if file.suffix == ".gz" else file.open("rb"))
                for file, written in found
                if written >= since.timestamp()
            ]
        except FileNotFoundError:
            continue  # renamed this very moment
        except OSError as exc:
            raise WeFailed(f"cannot open the switch's ledger {ledger}: {exc}") from exc
    raise WeFailed(f"the switch's ledger {ledger} is renamed all the time")
