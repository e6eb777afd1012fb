"""Two people and one record: nobody's words are lost, nobody overwrites what they did not see.

A change says which version it was made from. Made from an older one, it is not kept: the author
sees what others changed since, key by key, and saves again on top of it (primero 508, SORMAS 300).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callcenter.errors import Stale
from callcenter.register.fields import Content, Value


@dataclass(frozen=True, slots=True)
class Difference:
    """What one key was and became; None: nothing."""

    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True)
class Change:
    """One saved change of a record; `version` is the one that it made."""

    version: int
    at: datetime
    author: str
    differences: Mapping[str, Difference]


class Changed(Stale):
    """Somebody else has changed this record since you opened it: look at it and save again."""

    def __init__(self, version: int, theirs: Mapping[str, Difference], mine: Content) -> None:
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
    def told(self) -> dict[str, Any]:
        """The version to save on top of, what others changed, and which of it is changed here."""
        theirs = {
            key: {"before": each.before, "after": each.after} for key, each in self.theirs.items()
        }
        return {"version": self.version, "theirs": theirs, "both": sorted(self.both)}


def differences(before: Content, after: Content) -> dict[str, Difference]:
    """What changes from one content to another, by key."""
    return {
        key: Difference(before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }


def together(changes: list[Change]) -> dict[str, Difference]:
    """Several changes in their order, as one."""
    seen: dict[str, Difference] = {}
    for change in changes:
        for key, difference in change.differences.items():
            before = seen[key].before if key in seen else difference.before
            seen[key] = Difference(before, difference.after)
    return {key: each for key, each in seen.items() if each.before != each.after}
