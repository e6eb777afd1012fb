"""A controller asks the worker for audio that the switch plays: it cannot open recordings itself.

The worker is the one on the controller's own machine, which is the switch's. Asking goes the way
of orders (`consultants/dispatch.py`): it is done within seconds or not at all.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.dispatch import NO_CALL, Dispatch, Held, Mailbox
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.errors import AskedWrongly, CallcenterError, WeFailed
from callcenter.line.hearing import Audio
from callcenter.recordings import laid_out
from callcenter.recordings.laid_out import Listening
from callcenter.settings import Settings

log = logging.getLogger(__name__)

ARE_YOU_THERE, LAY_OUT, TAKE_AWAY = "are_you_there", "lay_out", "take_away"
TO_BEGIN = 15.0  # seconds within which what was laid out begins to be played


def worker_here() -> str:
    """What the worker on this machine is called."""
    return f"worker-{socket.gethostname()}"


class AudioKeeper:
    """The worker's part in it. `run` must be running."""

    def __init__(self, settings: Settings, engine: AsyncEngine, redis: Redis) -> None:
        self._settings = settings
        self._engine = engine
        self._mailbox = Mailbox(redis, worker_here(), self._give)

    async def run(self) -> None:
        """Lay audio out as it is asked for, and remove it in time, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._mailbox.run())
            tasks.create_task(laid_out.tidy(self._settings))

    async def _give(self, _call_id: str, order: Order) -> Answer:
        try:
            return await self._carried_out(order)
        except (KeyError, ValueError) as exc:
            raise OrderRefused(f"not to be understood: {exc!r}") from exc
        except (SQLAlchemyError, OSError) as exc:
            raise WeFailed(f"the audio cannot be laid out: {type(exc).__name__}") from exc

    async def _carried_out(self, order: Order) -> Answer:
        match order.what:
            case "are_you_there":
                return {}
            case "lay_out":
                listening = Listening(
                    UUID(order.detail["recording"]),
                    UUID(order.detail["name"]),
                    TO_BEGIN,
                    order.by,
                )
                seconds = await laid_out.lay_out(self._settings, self._engine, listening)
                return {"seconds": f"{seconds:.3f}"}
            case "take_away":
                laid_out.take_away(self._settings, UUID(order.detail["name"]))
                return {}
        raise OrderRefused("the worker does not do that")


class AudioDesk:
    """A controller's part in it."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._dispatch = Dispatch(redis)

    async def must_be_there(self) -> None:
        """Raises WeFailed when nobody would lay audio out now."""
        await self._ask(ARE_YOU_THERE, "self", {})

    @asynccontextmanager
    async def laid_out(self, recording_id: UUID, who: str) -> AsyncIterator[Audio]:
        """What the caller says in a recording, for `who` to hear within the block.

        That is in the audit log before. Raises WeFailed when it cannot be laid out.
        """
        name = uuid4()
        told = {"recording": str(recording_id), "name": str(name)}
        try:
            answer = await self._ask(LAY_OUT, who, told)
            sound = f"sound:{laid_out.file_of(self._settings, name)}"
            yield Audio(sound, float(answer["seconds"]))
        finally:
            await asyncio.shield(self._taken_away(name))

    async def _taken_away(self, name: UUID) -> None:
        try:
            await self._ask(TAKE_AWAY, "self", {"name": str(name)})
        except CallcenterError as exc:  # it goes by itself, when its time is over
            log.error("audio that was laid out lies there yet: %s", exc)

    async def _ask(self, what: str, who: str, detail: Mapping[str, str]) -> Answer:
        worker = Held(NO_CALL, worker_here(), "")
        try:
            return await self._dispatch.to_call(worker, Order(what, who, detail))
        except AskedWrongly as exc:
            raise WeFailed(f"the worker refuses: {exc}") from exc
