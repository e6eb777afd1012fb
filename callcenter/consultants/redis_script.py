"""Runner of the distributor's Lua script in Redis, with work rules and legal transitions.

Its parts are `states.lua`, `matching.lua` and `distributor.lua`, in this order.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from callcenter.consultants.rules.states import MOVES, IllegalPresenceChange
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.late_answers import answer_within

TEXT = "".join(
    Path(__file__).with_name(f"{part}.lua").read_text(encoding="utf-8")
    for part in ("states", "matching", "distributor")
)
REDIS_TIMEOUT = 2.0  # seconds for Redis to answer
OFFERS_AT_ONCE = 1000

_NOT_FREE = re.compile(r"NOTFREE (\w+)")
_ILLEGAL = re.compile(r"ILLEGAL (\w+) (\w+)")


class DistributorUnavailable(OperationFailed):
    """The distributor (Redis) is unavailable: no consultant can be found for this caller."""


class NotOnRoster(InvalidRequest):
    """There is no active consultant with this extension: see `callcenter consultants list`."""


class NotFree(InvalidRequest):
    """The consultant is signed out or busy."""

    def __init__(self, state: str) -> None:
        super().__init__(f"a consultant who is {state} cannot get a call now")


class NotWaiting(InvalidRequest):
    """This call has left the queue."""


class LanguageNotSpoken(InvalidRequest):
    """The consultant does not speak the language that the caller waits for."""


_REFUSALS = {"NOTWAITING": NotWaiting, "NOTSPOKEN": LanguageNotSpoken, "OFFROSTER": NotOnRoster}


class WorkRules(Protocol):
    """Work rules of the center, in seconds; `platform.core.settings` has them."""

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
    """Plain rules: a registered telephone is signed in, and idle right after a conversation."""

    sign_in_required: bool = False
    wrap_up: float = 0
    away_limit: float = 120
    page_limit: float = 90


class DistributorScript:
    """Runs operations of `distributor.lua`, each in one atomic step."""

    def __init__(self, redis: Redis, rules: WorkRules) -> None:
        self._run = redis.register_script(_preface(rules) + TEXT)

    async def __call__(self, operation: str, *arguments: str) -> Any:
        """Run an operation; returns its result, else whether Redis has a roster (0 or 1).

        Raises IllegalPresenceChange, NotFree, NotOnRoster, NotWaiting, LanguageNotSpoken, and
        DistributorUnavailable when Redis does not answer in 2 seconds."""
        try:
            async with answer_within(REDIS_TIMEOUT):
                return await self._run(args=[operation, *arguments])
        except ResponseError as exc:
            if illegal := _ILLEGAL.search(str(exc)):
                raise IllegalPresenceChange(illegal[1], illegal[2]) from exc
            if engaged := _NOT_FREE.search(str(exc)):
                raise NotFree(engaged[1]) from exc
            for word, refusal in _REFUSALS.items():
                if str(exc).startswith(word):
                    raise refusal from exc
            raise DistributorUnavailable(
                f"operation {operation} of the distributor failed: {exc}"
            ) from exc
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(
                f"operation {operation} of the distributor failed: {str(exc) or 'no answer'}"
            ) from exc


async def count_controllers(redis: Redis) -> int:
    """How many controllers live by the clock of Redis: they tell about telephones.

    Raises RedisError, OSError and TimeoutError.
    """
    async with answer_within(REDIS_TIMEOUT), redis.pipeline(transaction=False) as together:
        together.time()
        together.zrange("desk:controllers", 0, -1, withscores=True)
        (now, _), expiries = await together.execute()
    return sum(expires > now for _, expires in expiries)


async def next_offers(redis: Redis, holder: str, timeout: float) -> list[list[str]]:
    """Wait for offers to this holder, and take all that there are: a late one has many.

    Each is the call, the extension and, when it is withdrawn, a third word. Empty after `timeout`
    seconds. Raises RedisError, OSError and TimeoutError.
    """
    found = await redis.blmpop(
        timeout, 1, f"desk:offers:{holder}", direction="LEFT", count=OFFERS_AT_ONCE
    )
    return [str(offer).split(" ") for offer in found[1]] if found else []


def _preface(rules: WorkRules) -> str:
    """Return the Lua preface of the script: transitions and rules."""
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
