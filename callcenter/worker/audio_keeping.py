"""The worker lays audio out for the switch, as controllers ask (`controller/laying_out.py`)."""

import asyncio
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.dispatch import Mailbox
from callcenter.consultants.orders import Answer, Order, OrderRefused
from callcenter.controller.laying_out import worker_here
from callcenter.errors import WeFailed
from callcenter.recordings import laid_out
from callcenter.recordings.laid_out import Listening
from callcenter.settings import Settings

TO_BEGIN = 15.0  # seconds within which what was laid out begins to be played


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
