"""Edit conflicts: optimistic locking of a record, with a diff by field.

A change names the version that it was made from. From an older one it is refused: the author sees
what others changed since, field by field, and saves again on top of it (primero 508, SORMAS 300).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callcenter.appeals.rules.fields import Content, Value
from callcenter.platform.core.errors import VersionConflict


@dataclass(frozen=True, slots=True)
class FieldChange:
    """The value of a field before and after a change; None for an empty one."""

    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True)
class ContentChange:
    """One saved change of a record; `version` is the version that it made."""

    version: int
    at: datetime
    author: str
    differences: Mapping[str, FieldChange]


class EditConflict(VersionConflict):
    """Somebody else has changed this record since you opened it: look at it and save again."""

    def __init__(self, version: int, theirs: Mapping[str, FieldChange], mine: Content) -> None:
        """`theirs`: what changed since and may be seen; `mine`: what is about to be saved."""
        super().__init__()
        self.version = version
        self.theirs = dict(theirs)
        self.both = {
            key: difference
            for key, difference in theirs.items()
            if key in mine and mine[key] not in (difference.before, difference.after)
        }

    @property
    def problem_details(self) -> dict[str, Any]:
        """The version to save on top of, what others changed, and which of it is changed here."""
        theirs = {
            key: {"before": each.before, "after": each.after} for key, each in self.theirs.items()
        }
        return {"version": self.version, "theirs": theirs, "both": sorted(self.both)}


def differences(before: Content, after: Content) -> dict[str, FieldChange]:
    """The differences of two contents, by field."""
    return {
        key: FieldChange(before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }


def combine(changes: list[ContentChange]) -> dict[str, FieldChange]:
    """Several changes in their order, combined into one."""
    seen: dict[str, FieldChange] = {}
    for change in changes:
        for key, difference in change.differences.items():
            before = seen[key].before if key in seen else difference.before
            seen[key] = FieldChange(before, difference.after)
    return {key: each for key, each in seen.items() if each.before != each.after}
