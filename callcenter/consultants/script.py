"""The desk's one script in Redis, with the rules of the center and the legal moves.

Its parts are `states.lua`, `matching.lua` and `desk.lua`, in this order.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from callcenter.consultants.states import MOVES, IllegalMove
from callcenter.errors import AskedWrongly, WeFailed

TEXT = "".join(
    Path(__file__).with_name(f"{part}.lua").read_text(encoding="utf-8")
    for part in ("states", "matching", "desk")
)
LIMIT = 2.0  # seconds for Redis to answer

_NOT_FREE = re.compile(r"NOTFREE (\w+)")
_ILLEGAL = re.compile(r"ILLEGAL (\w+) (\w+)")


class DeskClosed(WeFailed):
    """The desk (Redis) cannot be reached: nobody can be found for this caller by us."""


class NotOnRoster(AskedWrongly):
    """There is no active consultant with this extension: `callcenter consultants list` has all."""


class NotFree(AskedWrongly):
    """The consultant is not signed in, or with somebody already."""

    def __init__(self, state: str) -> None:
        super().__init__(f"a consultant who is {state} cannot call or be given anybody now")


class NotWaiting(AskedWrongly):
    """This call does not wait any more."""


class NotSpoken(AskedWrongly):
    """The consultant does not speak the language that the caller waits for."""


_REFUSALS = {"NOTWAITING": NotWaiting, "NOTSPOKEN": NotSpoken, "OFFROSTER": NotOnRoster}


class Rules(Protocol):
    """What a center decides of its consultants, in seconds; `callcenter.settings` has it."""

    @property
    def sign_in_required(self) -> bool: ...
    @property
    def wrap_up(self) -> float: ...
    @property
    def away_limit(self) -> float: ...
    @property
    def page_limit(self) -> float: ...


@dataclass(frozen=True, slots=True)
class PlainRules:
    """A registered telephone is signed in, and free again as soon as a conversation ends."""

    sign_in_required: bool = False
    wrap_up: float = 0
    away_limit: float = 120
    page_limit: float = 90


class Script:
    """Carries out operations of `desk.lua`, each in one atomic step."""

    def __init__(self, redis: Redis, rules: Rules) -> None:
        self._run = redis.register_script(_preface(rules) + TEXT)

    async def __call__(self, operation: str, *arguments: str) -> Any:
        """What the operation returns; 0 or 1 for most: whether the desk knows a roster.

        Raises IllegalMove, NotFree, NotOnRoster, NotWaiting, NotSpoken, and DeskClosed when Redis
        does not answer in 2 seconds.
        """
        try:
            async with asyncio.timeout(LIMIT):
                return await self._run(args=[operation, *arguments])
        except ResponseError as exc:
            if illegal := _ILLEGAL.search(str(exc)):
                raise IllegalMove(illegal[1], illegal[2]) from exc
            if engaged := _NOT_FREE.search(str(exc)):
                raise NotFree(engaged[1]) from exc
            for word, refusal in _REFUSALS.items():
                if str(exc).startswith(word):
                    raise refusal from exc
            raise DeskClosed(f"cannot do {operation} at the desk: {exc}") from exc
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot do {operation} at the desk: {exc or 'no answer'}") from exc


def _preface(rules: Rules) -> str:
    """Lua that the script begins with."""
    legal = ", ".join(
        f"['{before} {after}'] = true"
        for before, afters in MOVES.items()
        for after in sorted(afters)
    )
    return (
        f"local LEGAL = {{{legal}}} "
        f"local RULES = {{sign_in_required = {str(rules.sign_in_required).lower()}, "
        f"wrap_up = {rules.wrap_up:f}, away_limit = {rules.away_limit:f}, "
        f"page_limit = {rules.page_limit:f}}} "
    )
