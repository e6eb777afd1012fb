"""Who a consultant brings to a call: another consultant, or somebody outside, called by number."""

import re
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from callcenter.consultants.skills import LOWEST
from callcenter.line.call import Call
from callcenter.line.ports import Consultant, Leg, NotAnswered
from callcenter.line.urgency import shown

FREE_WITHIN = 1.0  # seconds within which a consultant who is asked for must be free
_EXTENSION = re.compile(r"[0-9]{3,6}")
_SKILL = re.compile(r"skill:([a-z][a-z_]{1,39})(?::([1-5]))?")


@dataclass(frozen=True, eq=False)
class Talker:
    """A consultant with the caller. Closing `side` hangs up and ends the lease."""

    consultant: Consultant
    leg: Leg
    side: AsyncExitStack

    @property
    def name(self) -> str:
        return self.consultant.extension


@dataclass(frozen=True, eq=False)
class Outsider:
    """Somebody outside the center. Closing `side` hangs up."""

    name: str  #: the number
    leg: Leg
    side: AsyncExitStack


Guest = Talker | Outsider


@dataclass(frozen=True)
class Whom:
    """A certain consultant, by extension, or whoever is free with a skill of this level at least.

    The latter also speaks the language of the call.
    """

    extension: str | None = None
    skill: str | None = None
    level: int = LOWEST

    def detail(self) -> dict[str, str]:
        """As a detail of moments."""
        if self.extension is not None:
            return {"consultant": self.extension}
        return {"skill": f"{self.skill}:{self.level}"}


def read_whom(written: str) -> Whom | None:
    """Whom `204`, `skill:lawyer` or `skill:lawyer:3` means; None: nobody."""
    if _EXTENSION.fullmatch(written):
        return Whom(written)
    skill = _SKILL.fullmatch(written)
    return Whom(skill=skill[1], level=int(skill[2] or LOWEST)) if skill else None


async def consultant_called(call: Call, whom: Whom, place_id: str) -> Talker:
    """A consultant, leased at the desk so that no caller is offered there, and rung.

    Raises NotAnswered: `not_free` at once, or why the telephone was not answered. Cancelling
    gives everything back.
    """
    async with AsyncExitStack() as side:
        place = await side.enter_async_context(
            call.desk.place(
                place_id,
                call.wanted_language,
                arrived=time.time(),
                urgent=True,
                skill=whom.skill,
                level=whom.level,
                consultant=whom.extension,
            )
        )
        consultant = await place.offer(FREE_WITHIN)
        if consultant is None:
            raise NotAnswered("not_free")
        place.rings()
        ring = call.switch.ring(
            consultant.extension, call.leg, shown(call), call.times.ring_timeout
        )
        try:
            leg = await side.enter_async_context(ring)
        except NotAnswered:
            await place.give_back(unanswered=True)
            raise
        place.answered()
        return Talker(consultant, leg, side.pop_all())


async def called_again(call: Call, talker: Talker) -> Talker:
    """A consultant whose telephone lost the conversation, on a new leg; the lease goes on.

    Raises NotAnswered, and then, as when cancelled, the lease has ended.
    """
    try:
        await talker.leg.hang_up()
        ring = call.switch.ring(talker.name, call.leg, shown(call), call.times.ring_timeout)
        leg = await talker.side.enter_async_context(ring)
    except BaseException:
        await talker.side.aclose()
        raise
    return Talker(talker.consultant, leg, talker.side)


async def outsider_called(call: Call, number: str) -> Outsider:
    """Somebody outside, who has answered. Raises NotAnswered. Cancelling gives everything back."""
    async with AsyncExitStack() as side:
        leg = await side.enter_async_context(
            call.switch.call_number(
                number, call.times.shown_number, call.times.ring_timeout, beside=call.leg
            )
        )
        return Outsider(number, leg, side.pop_all())
