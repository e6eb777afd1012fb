"""What consultants can do besides their languages, and what a caller may want of one.

A language is spoken or not, and is never given up without the caller's word. A skill has a level,
and a caller wants a level at least: among those who fit, who has been idle longest is rung.
"""

import re
from collections.abc import Mapping

from callcenter.errors import AskedWrongly

LOWEST, HIGHEST = 1, 5  #: levels of a skill; matching.lua knows the highest as well
CODE = re.compile(r"[a-z][a-z_]{1,39}")


def check_code(code: str) -> str:
    """The code of a skill, if it has 2 to 40 small letters and underlines; else AskedWrongly."""
    if not CODE.fullmatch(code):
        raise AskedWrongly("the code of a skill has 2 to 40 small Latin letters and underlines")
    return code


def check_level(level: int) -> int:
    """The level, if there is such a level; else AskedWrongly."""
    if not LOWEST <= level <= HIGHEST:
        raise AskedWrongly(f"the level of a skill is {LOWEST} to {HIGHEST}, not {level}")
    return level


def as_words(skills: Mapping[str, int]) -> str:
    """Skills with their levels as the desk keeps them."""
    return " ".join(f"{code}:{level}" for code, level in sorted(skills.items()))


def want(
    language: str, skill: str | None = None, level: int = LOWEST, consultant: str | None = None
) -> str:
    """What a caller wants, in the one word of matching.lua: `kk`, `kk:lawyer:3` or `@201`."""
    if consultant is not None:
        return f"@{consultant}"
    if skill is None:
        return language
    return f"{language}:{check_code(skill)}:{check_level(level)}"
