"""What consultants can do besides their languages, and what a caller may want of one.

A language is spoken or not, and is never given up without the caller's word. A skill has a level,
and a caller wants a level at least: among those who fit, who has been idle longest is rung.
"""

import re
from collections.abc import Mapping

from callcenter.errors import AskedWrongly

LOWEST, HIGHEST = 1, 5  #: levels of a skill; matching.lua knows the highest as well

_SKILL = re.compile(r"([a-z][a-z_]{1,39})(?:[:=]([0-9]))?")


def read_skills(words: str) -> dict[str, int]:
    """Levels by skill from `lawyer:3 children:1`; without a level the lowest. Raises AskedWrongly.

    Whether there are such skills the database knows.
    """
    skills: dict[str, int] = {}
    for word in words.replace(",", " ").split():
        found = _SKILL.fullmatch(word)
        if found is None or found[1] in skills:
            raise AskedWrongly("skills are told once each, as lawyer:3 children:1")
        skills[found[1]] = check_level(int(found[2] or LOWEST))
    return skills


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
    return f"{language}:{skill}:{check_level(level)}"
