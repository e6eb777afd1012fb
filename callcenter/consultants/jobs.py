"""Worker task of consultants: copies every change of their states into PostgreSQL."""

import logging
from collections.abc import Sequence

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import state_history
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.state_history import PresenceChange
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work

log = logging.getLogger(__name__)


async def keep_history(presence: PresenceService, engine: AsyncEngine) -> None:
    """Save changes of states until cancelled. Several workers may do this at once."""

    async def save(changes: Sequence[PresenceChange]) -> None:
        try:
            async with unit_of_work(engine) as connection:
                await state_history.save(connection, changes)
        except (DataError, IntegrityError) as exc:  # trying again is no use, and holds up the rest
            if len(changes) == 1:
                log.critical("presence change lost: %s", type(exc.orig).__name__)
                return
            for change in changes:
                await save([change])
        except (SQLAlchemyError, OSError) as exc:
            raise OperationFailed(f"the database failed: {type(exc).__name__}") from exc

    await presence.drain_changes(save)
