"""Verification of the audit log: nothing changed, removed, moved or cut off.

An entry that was changed does not give its hash any more, or the next one does not follow from it.
A chain that was rewritten from some entry on, or cut off at its end, is sound in itself:
checkpoints signed before show it (`audit.rules.checkpoints`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from callcenter.platform.audit.rules.checkpoints import Checkpoint
from callcenter.platform.audit.rules.hash_chain import GENESIS, Entry, next_hash


class Row(NamedTuple):
    """A row of the database, its columns as text. It may hold anything."""

    id: int
    at: str | None
    who: str | None
    action: str | None
    subject: str | None
    detail: str | None
    from_address: str | None
    hash: bytes


class Violation(StrEnum):
    """The kinds of faults of entries, in the words of the report."""

    ALTERED = "not what was written, or the one before is not"
    MISSING = "missing"
    OUT_OF_PLACE = "there twice, or numbered below 1"
    REWRITTEN = "rewritten, one or more of them: the head that was signed does not agree"
    CUT_OFF = "cut off: a head was signed when they were there"


@dataclass(frozen=True)
class Fault:
    """A fault of the entries from `first` to `last`."""

    wrong: Violation
    first: int
    last: int

    def __str__(self) -> str:
        if self.first == self.last:
            return f"entry {self.first}: {self.wrong}"
        return f"entries {self.first} to {self.last}: {self.wrong}"


class ChainVerification:
    """Verifies rows, given in the order of their numbers, against the checkpoints."""

    def __init__(self, heads: Iterable[Checkpoint]) -> None:
        self.entries = 0  #: that were taken
        self._last = 0
        self._hash = GENESIS
        self._vouched = 0  # up to here a head agrees
        self._heads: defaultdict[int, list[Checkpoint]] = defaultdict(list)
        for head in heads:
            self._heads[head.entry].append(head)

    def take(self, row: Row) -> Iterator[Fault]:
        """The faults at this row; the check goes on with the next one."""
        self.entries += 1
        if row.id <= self._last:
            yield Fault(Violation.OUT_OF_PLACE, row.id, row.id)
            return
        if row.id > self._last + 1:
            yield Fault(Violation.MISSING, self._last + 1, row.id - 1)
        elif not _follows(self._hash, row):
            yield Fault(Violation.ALTERED, row.id, row.id)
        self._last, self._hash = row.id, row.hash
        if heads := self._heads.pop(row.id, None):
            if any(head.hash != row.hash for head in heads):
                yield Fault(Violation.REWRITTEN, self._vouched + 1, row.id)
            else:
                self._vouched = row.id

    def end(self) -> Iterator[Fault]:
        """The faults at the end of the log, once all rows were taken."""
        signed = max(self._heads, default=0)
        if signed > self._last:
            yield Fault(Violation.CUT_OFF, self._last + 1, signed)


def _follows(previous: bytes, row: Row) -> bool:
    try:
        return next_hash(previous, _entry(row)) == row.hash
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False  # the product never wrote what it cannot read


def _entry(row: Row) -> Entry:
    if None in row[1:6]:
        raise ValueError("only an address may be missing")
    detail = json.loads(row.detail or "")
    if not isinstance(detail, dict):  # a list of pairs would pass for one
        raise ValueError("a detail is an object")
    return Entry(
        id=row.id,
        at=datetime.fromisoformat(row.at or ""),
        who=row.who or "",
        action=row.action or "",
        subject=row.subject or "",
        detail=detail,
        from_address=row.from_address,
    )
