"""What the worker does for consultants: every change of their states goes into PostgreSQL."""

import logging
from collections.abc import Sequence

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import history
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.history import Change
from callcenter.errors import WeFailed
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)


async def keep_history(duty: DutyDesk, engine: AsyncEngine) -> None:
    """Write changes of states down until cancelled. Several workers may do this at once."""

    async def keep(changes: Sequence[Change]) -> None:
        try:
            async with unit_of_work(engine) as connection:
                await history.keep(connection, changes)
        except (DataError, IntegrityError) as exc:  # trying again is no use, and holds up the rest
            if len(changes) == 1:
                log.critical("a change of a state is lost: %s", type(exc.orig).__name__)
                return
            for change in changes:
                await keep([change])
        except (SQLAlchemyError, OSError) as exc:
            raise WeFailed(f"the database failed: {type(exc).__name__}") from exc

    await duty.hand_over(keep)
