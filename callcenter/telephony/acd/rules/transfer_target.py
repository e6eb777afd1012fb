"""Transfer target: which consultants may get a call, beside the speakers of its language."""

import re
from dataclasses import dataclass

from callcenter.consultants.rules.skills import LOWEST

_EXTENSION = re.compile(r"[0-9]{3,6}")
_SKILL = re.compile(r"skill:([a-z][a-z_]{1,39})(?::([1-5]))?")


@dataclass(frozen=True)
class TransferTarget:
    """A consultant by extension, in any language, or any one with a skill at a minimal level."""

    extension: str | None = None
    skill: str | None = None
    level: int = LOWEST

    def detail(self) -> dict[str, str]:
        """Return the target as a detail of events."""
        if self.extension is not None:
            return {"consultant": self.extension}
        return {"skill": f"{self.skill}:{self.level}"}


ANY_CONSULTANT = TransferTarget()  #: who speaks the language of the call


def parse_target(written: str) -> TransferTarget | None:
    """Parse `204`, `skill:lawyer` or `skill:lawyer:3`; None when it is neither."""
    if _EXTENSION.fullmatch(written):
        return TransferTarget(written)
    skill = _SKILL.fullmatch(written)
    return TransferTarget(skill=skill[1], level=int(skill[2] or LOWEST)) if skill else None
