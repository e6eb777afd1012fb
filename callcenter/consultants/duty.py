"""What consultants are doing, as the desk in Redis knows it now: read, changed and written down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.history import Change
from callcenter.consultants.script import LIMIT, DeskClosed, NotOnRoster, Rules, Script
from callcenter.consultants.states import ASKED, Duty, State
from callcenter.errors import WeFailed

log = logging.getLogger(__name__)

CHANGES = "desk:changes"
BATCH = 500  # changes written down in one transaction
LINGER = 0.5  # seconds between two looks for changes: those of many calls are written together
PAUSE = 1.0  # seconds after a fault


class DutyDesk:
    """The one source of truth of what each consultant is doing."""

    def __init__(self, redis: Redis, rules: Rules) -> None:
        self._redis = redis
        self._script = Script(redis, rules)

    async def ask(
        self, extension: str, wanted: State, *, by: str, reason: str = ASKED, page: bool = False
    ) -> State:
        """Have a consultant sign in or go on (READY), pause, or sign out; returns the state now.

        Who is with a caller goes over when the conversation ends; a telephone that rings is not
        rung any more, and the caller is given to somebody else. `reason` is that of a pause, `by`
        is `self` or `user:NAME`. Who becomes ready by a `page` is paused when it is not open any
        more, see `seen`. Asking twice is asking once. Raises IllegalMove, NotOnRoster, DeskClosed.
        """
        why = "-" if wanted is State.READY else ASKED if wanted is State.SIGNED_OUT else reason
        how = "page" if page else ""
        return State(await self._script("ask", extension, wanted.value, why, by, how))

    async def pages_served(self) -> None:
        """Until cancelled, tell the desk that pages can be open: that a web process lives."""
        while True:
            try:
                await self._script("web")
            except DeskClosed as exc:
                log.error("%s", exc)
            await asyncio.sleep(PAUSE)

    async def seen(self, extension: str) -> None:
        """The page by which a consultant works is open now. Raises DeskClosed."""
        await self._script("seen", extension)

    async def of(self, extension: str) -> Duty:
        """What one consultant is doing. Raises NotOnRoster, DeskClosed."""
        for duty in await self.everyone():
            if duty.extension == extension:
                return duty
        raise NotOnRoster

    async def everyone(self) -> list[Duty]:
        """What everybody on the roster is doing, at one moment, by extension. Raises DeskClosed."""
        try:
            async with asyncio.timeout(LIMIT), self._redis.pipeline(transaction=True) as together:
                for key in ("roster", "states", "devices", "after", "holders"):
                    together.hgetall(f"desk:{key}")
                together.zrange("desk:leases", 0, -1)
                roster, states, devices, after, holders, leases = await together.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            raise DeskClosed(f"cannot read who is at work: {exc or 'no answer'}") from exc
        resting = set(leases) - set(holders)
        return [
            _duty(extension, states, devices, after, resting=extension in resting)
            for extension in sorted(roster)
        ]

    async def hand_over(self, keep: Callable[[Sequence[Change]], Awaitable[None]]) -> None:
        """Until cancelled, give every change to `keep`, many at once; it may be given one again.

        A change leaves Redis only when it was kept, so no death of a process loses one; several
        processes may do this at once. `keep` raises WeFailed when it should be tried again.
        """
        while True:
            try:
                if await self._hand_over_some(keep) < BATCH:
                    await asyncio.sleep(LINGER)
            except (WeFailed, RedisError, OSError, TimeoutError) as exc:
                log.error("changes of consultants' states wait: %s", exc or "no answer")
                await asyncio.sleep(PAUSE)

    async def _hand_over_some(self, keep: Callable[[Sequence[Change]], Awaitable[None]]) -> int:
        """Returns how many changes, the oldest, are not in Redis any more."""
        async with asyncio.timeout(LIMIT):
            entries: Any = await self._redis.xrange(CHANGES, count=BATCH)
        if entries:
            await keep([change for _, fields in entries if (change := _change(fields))])
            async with asyncio.timeout(LIMIT):
                await self._redis.xdel(CHANGES, *(entry for entry, _ in entries))
        return len(entries)


def _duty(
    extension: str,
    states: Mapping[str, str],
    devices: Mapping[str, str],
    after: Mapping[str, str],
    *,
    resting: bool,
) -> Duty:
    state, since, reason, by = states.get(extension, "signed_out 0 - desk").split(" ")
    following = after.get(extension)
    return Duty(
        extension=extension,
        state=State(state),
        since=float(since),
        reason=None if reason == "-" else reason,
        by=by,
        telephone=devices.get(extension, "").partition(" ")[2],
        after=State(following.split(" ")[0]) if following else None,
        resting=resting,
    )


def _change(fields: Mapping[str, str]) -> Change | None:
    """None for what another version of us wrote and we cannot read: it must not hold up the rest"""
    try:
        return Change(
            extension=fields["extension"],
            state=State(fields["state"]),
            reason=None if fields["reason"] == "-" else fields["reason"],
            at=datetime.fromtimestamp(float(fields["at"]), UTC),
            by=fields["by"],
        )
    except (KeyError, ValueError) as exc:
        log.critical("a change of a state is lost: %r", exc)
        return None
