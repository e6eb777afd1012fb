"""The authorised body of R17 by date: the law renames it, letters keep their name.

The names are in `authorities.json`, each with the day from which it holds and its source.
"""

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from callcenter.platform.core.errors import InvalidRequest


@dataclass(frozen=True)
class Authority:
    """The authorised body from a day on: its names, and its role by the law.

    Letters are in Kazakh and Russian; the English name is for pages alone.
    """

    since: date
    kk: str
    ru: str
    en: str
    role_kk: str
    role_ru: str


@cache
def names() -> tuple[Authority, ...]:
    """All names of the authorised body, the oldest first."""
    entries = json.loads((Path(__file__).parent / "authorities.json").read_text(encoding="utf-8"))
    return tuple(
        Authority(
            date.fromisoformat(each["from"]),
            each["kk"],
            each["ru"],
            each["en"],
            each["role_kk"],
            each["role_ru"],
        )
        for each in sorted(entries, key=lambda each: each["from"])
    )


def in_english() -> dict[str, str]:
    """The English names of the body by its Russian ones."""
    return {each.ru: each.en for each in names()}


def authority_on(day: date) -> Authority:
    """The authorised body of that day. Raises InvalidRequest before the Rules."""
    held = [each for each in names() if each.since <= day]
    if not held:
        raise InvalidRequest(f"the letter is older than the Rules, which are of {names()[0].since}")
    return held[-1]
