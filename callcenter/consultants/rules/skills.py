"""Skills of consultants with their levels, and the requirements of a call.

A language is spoken or not, and is never given up without the caller's consent. A skill has a
level, and a call requires a minimum level: among those that fit, the consultant who has been idle
longest is rung.
"""

import re
from collections.abc import Mapping

from callcenter.platform.core.errors import InvalidRequest

LOWEST, HIGHEST = 1, 5  #: levels of a skill; matching.lua knows the highest as well

_SKILL = re.compile(r"([a-z][a-z_]{1,39})(?:[:=]([0-9]))?")


def read_skills(words: str) -> dict[str, int]:
    """Parse levels by skill from `lawyer:3 children:1`; without a level the lowest.

    Raises InvalidRequest. Whether there are such skills is checked by the store.
    """
    skills: dict[str, int] = {}
    for word in words.replace(",", " ").split():
        found = _SKILL.fullmatch(word)
        if found is None or found[1] in skills:
            raise InvalidRequest("skills are told once each, as lawyer:3 children:1")
        skills[found[1]] = check_level(int(found[2] or LOWEST))
    return skills


def check_level(level: int) -> int:
    """The level. Raises InvalidRequest unless it is 1 to 5."""
    if not LOWEST <= level <= HIGHEST:
        raise InvalidRequest(f"the level of a skill is {LOWEST} to {HIGHEST}, not {level}")
    return level


def format_skills(skills: Mapping[str, int]) -> str:
    """Skills with their levels in the notation of the ACD and of `read_skills`."""
    return " ".join(f"{code}:{level}" for code, level in sorted(skills.items()))


def want(
    language: str, skill: str | None = None, level: int = LOWEST, consultant: str | None = None
) -> str:
    """The requirement of a call in the notation of matching.lua: `kk`, `kk:lawyer:3`, `@201`."""
    if consultant is not None:
        return f"@{consultant}"
    if skill is None:
        return language
    return f"{language}:{skill}:{check_level(level)}"
