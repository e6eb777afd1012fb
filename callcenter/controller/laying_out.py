"""A controller asks the worker for audio that the switch plays: it cannot open recordings itself.

The worker is the one on the controller's own machine, which is the switch's. Asking goes the way
of orders (`consultants/dispatch.py`): it is done within seconds or not at all. The worker's part is
`worker/audio_keeping.py`, apart from this: no controller loads what opens recordings.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from redis.asyncio import Redis

from callcenter.consultants.dispatch import NO_CALL, Dispatch, Held
from callcenter.consultants.orders import Answer, Order
from callcenter.errors import AskedWrongly, CallcenterError, WeFailed
from callcenter.line.hearing import Audio
from callcenter.settings import Settings

log = logging.getLogger(__name__)

ARE_YOU_THERE, LAY_OUT, TAKE_AWAY = "are_you_there", "lay_out", "take_away"


def worker_here() -> str:
    """What the worker on this machine is called."""
    return f"worker-{socket.gethostname()}"


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
            sound = f"sound:{self._settings.laid_out / str(name)}"
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
