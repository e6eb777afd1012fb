"""Presence of consultants in the ACD in Redis: reads and changes it, drains its changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.redis_script import (
    REDIS_TIMEOUT,
    DistributorScript,
    DistributorUnavailable,
    NotOnRoster,
    WorkRules,
)
from callcenter.consultants.rules.states import ON_REQUEST, PresenceState, PresenceStatus
from callcenter.consultants.state_history import PresenceChange
from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.late_answers import answer_within

log = logging.getLogger(__name__)

CHANGES = "desk:changes"
LAST_CHANGE = "$"  #: instead of the id of a change: the last one so far
BATCH_SIZE = 500  # changes saved in one transaction
DRAIN_INTERVAL = 0.5  # seconds between two batches: changes of many calls are saved together
CHANGE_POLL = 5.0  # seconds that one request for a change waits in Redis
RETRY_INTERVAL = 1.0  # seconds after a fault
HEARTBEAT_INTERVAL = 2.0  # seconds between two reports that a web process serves pages


class PresenceService:
    """The one source of truth of each consultant's presence."""

    def __init__(self, redis: Redis, rules: WorkRules) -> None:
        self._redis = redis
        self._script = DistributorScript(redis, rules)

    async def ask(
        self,
        extension: str,
        state: PresenceState,
        *,
        by: str,
        reason: str = ON_REQUEST,
        page: bool = False,
    ) -> PresenceState:
        """Request READY (sign in or resume), PAUSED or SIGNED_OUT; returns the state now.

        During a conversation the state changes when it ends; a ringing telephone stops ringing,
        and the caller is offered to another consultant. `reason` is that of a pause, `by` is
        `self` or `user:NAME`. A consultant ready by a `page` is paused when the page is closed, see
        `report_page_open`. Idempotent. Raises IllegalPresenceChange, NotOnRoster,
        DistributorUnavailable."""
        why = (
            "-"
            if state is PresenceState.READY
            else ON_REQUEST
            if state is PresenceState.SIGNED_OUT
            else reason
        )
        how = "page" if page else ""
        return PresenceState(await self._script("ask", extension, state.value, why, by, how))

    async def prolong_wrap_up(self, extension: str, seconds: float, limit: float) -> float:
        """Have wrap-up end later, `limit` seconds after it began at most.

        Returns by how many seconds: 0 at the limit. Raises IllegalPresenceChange outside of
        wrap-up, DistributorUnavailable.
        """
        return float(await self._script("prolong", extension, f"{seconds:f}", f"{limit:f}"))

    async def report_pages_served(self) -> None:
        """Report to the ACD until cancelled that a web process serves pages."""
        while True:
            try:
                await self._script("web")
            except DistributorUnavailable as exc:
                log.error("report of served pages failed: %s", exc)
            await until_beat(HEARTBEAT_INTERVAL)

    async def report_page_open(self, extension: str) -> None:
        """Report that the workspace page of a consultant is open. Raises DistributorUnavailable."""
        await self._script("seen", extension)

    async def of(self, extension: str) -> PresenceStatus:
        """The presence of one consultant. Raises NotOnRoster, DistributorUnavailable."""
        for status in await self.everyone():
            if status.extension == extension:
                return status
        raise NotOnRoster

    async def everyone(self) -> list[PresenceStatus]:
        """The presence of all on the roster, at one moment, by extension.

        Raises DistributorUnavailable.
        """
        try:
            async with (
                answer_within(REDIS_TIMEOUT),
                self._redis.pipeline(transaction=True) as together,
            ):
                for key in ("roster", "states", "devices", "after", "holders"):
                    together.hgetall(f"desk:{key}")
                together.zrange("desk:leases", 0, -1)
                roster, states, devices, after, holders, leases = await together.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            raise DistributorUnavailable(
                f"cannot read who is at work: {exc or 'no answer'}"
            ) from exc
        resting = set(leases) - set(holders)
        return [
            read_status(extension, states, devices, after, resting=extension in resting)
            for extension in sorted(roster)
        ]

    async def await_change(self, after: str) -> str:
        """Wait five seconds at most for a change after that one; returns the id of the last.

        LAST_CHANGE is the last one so far. A change that is saved and gone before this waits again
        is missed: whoever watches reads the presence from time to time too. Raises RedisError,
        OSError, TimeoutError.
        """
        async with asyncio.timeout(CHANGE_POLL + REDIS_TIMEOUT):
            found: Any = await self._redis.xread({CHANGES: after}, block=int(CHANGE_POLL * 1000))
        return str(found[0][1][-1][0]) if found else after

    async def drain_changes(
        self, save: Callable[[Sequence[PresenceChange]], Awaitable[None]]
    ) -> None:
        """Pass every change to `save` in batches, at least once, until cancelled.

        A change leaves Redis only when it was saved, so no crash of a process loses one; several
        processes may do this at once. `save` raises OperationFailed when it is to be retried.
        """
        while True:
            try:
                if not await self._await_change():
                    continue
                if await self._drain_batch(save) < BATCH_SIZE:
                    await asyncio.sleep(DRAIN_INTERVAL)
            except (OperationFailed, RedisError, OSError, TimeoutError) as exc:
                log.error("presence changes not saved, retrying: %s", exc or "no answer")
                await asyncio.sleep(RETRY_INTERVAL)

    async def _await_change(self) -> bool:
        """Return whether there is a change, after five seconds at the latest."""
        async with answer_within(CHANGE_POLL + REDIS_TIMEOUT):
            found = await self._redis.xread({CHANGES: 0}, count=1, block=int(CHANGE_POLL * 1000))
        return bool(found)

    async def _drain_batch(
        self, save: Callable[[Sequence[PresenceChange]], Awaitable[None]]
    ) -> int:
        """Save and remove the oldest changes; returns their number."""
        async with answer_within(REDIS_TIMEOUT):
            entries: Any = await self._redis.xrange(CHANGES, count=BATCH_SIZE)
        if entries:
            await save([change for _, fields in entries if (change := _read_change(fields))])
            async with answer_within(REDIS_TIMEOUT):
                await self._redis.xdel(CHANGES, *(entry for entry, _ in entries))
        return len(entries)


def read_status(
    extension: str,
    states: Mapping[str, str],
    devices: Mapping[str, str],
    after: Mapping[str, str],
    *,
    resting: bool,
) -> PresenceStatus:
    state, since, reason, by = states.get(extension, "signed_out 0 - desk").split(" ")
    following = after.get(extension)
    return PresenceStatus(
        extension=extension,
        state=PresenceState(state),
        since=float(since),
        reason=None if reason == "-" else reason,
        by=by,
        telephone=devices.get(extension, "").partition(" ")[2],
        after=PresenceState(following.split(" ")[0]) if following else None,
        resting=resting,
    )


def _read_change(fields: Mapping[str, str]) -> PresenceChange | None:
    """The change; None for an unreadable one of another version, not to block the rest."""
    try:
        return PresenceChange(
            extension=fields["extension"],
            state=PresenceState(fields["state"]),
            reason=None if fields["reason"] == "-" else fields["reason"],
            at=datetime.fromtimestamp(float(fields["at"]), UTC),
            by=fields["by"],
        )
    except (KeyError, ValueError) as exc:
        log.critical("presence change lost: %r", exc)
        return None
