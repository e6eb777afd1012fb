"""Masks callers' numbers in CEL files, of calls whose appeals are masked.

A number is overwritten in its place by as many letters, so that readers find every line where it
was. The file that Asterisk writes, and the one in which reading stands, are masked once they are
done with: within a day or two.
"""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from callcenter.telephony.reconciliation.cel import LONGEST, parse
from callcenter.telephony.reconciliation.cel_tail import PACKED, FilePosition, contains

_NUMBER = re.compile(rb'(?<=\\"extra\\":\\")[+0-9]+(?=\\")')
_MASK = b"x"


def mask_numbers(cel_file: Path, call_ids: Collection[str], position: FilePosition) -> int:
    """Mask the numbers of these calls in rotated files; returns how many. Repeatable.

    `position` is where reading stands. Packed files stay as they are. It blocks. Raises OSError.
    """
    rotated = list(cel_file.parent.glob(f"{cel_file.name}.*"))
    return sum(_mask(each, call_ids, position) for each in rotated if each.suffix not in PACKED)


def _mask(path: Path, call_ids: Collection[str], position: FilePosition) -> int:
    masked = 0
    with path.open("r+b") as file:
        if contains(file, position):
            return 0
        before = os.fstat(file.fileno())
        end = 0
        file.seek(0)
        for line in iter(lambda: file.readline(LONGEST), b""):
            end += len(line)
            number = _NUMBER.search(line) if b'"RECEIVED"' in line else None
            event = parse(line) if number else None
            if number and event and event.call_id in call_ids:
                os.pwrite(file.fileno(), _MASK * len(number[0]), end - len(line) + number.start())
                masked += 1
    with suppress(PermissionError):  # of another user, whose file has its day in the name
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return masked
