"""What becomes of consultants' states: asked for by feature codes, and kept in PostgreSQL."""

import logging
from collections.abc import Sequence

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants import history
from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.history import Change
from callcenter.errors import WeFailed
from callcenter.line.codes import CODES, extension_of, feature_code
from callcenter.line.ports import LegGone, Sounds
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)


class Attendance:
    """One controller's part in it. `keep` must be running for states to reach the database."""

    def __init__(
        self,
        desk: Desk,
        duty: DutyDesk,
        engine: AsyncEngine,
        switchboard: Switchboard,
        sounds: Sounds,
    ) -> None:
        self._desk = desk
        self._duty = duty
        self._engine = engine
        self._switchboard = switchboard
        self._sounds = sounds

    async def keep(self) -> None:
        """Until cancelled, write changes of states down."""
        await self._duty.hand_over(self._write)

    async def serve(self, channel: Channel) -> None:
        """Do what a consultant dialled; whatever happens, nothing is left in the switch."""
        extension = extension_of(channel.name)
        try:
            if extension is None or channel.dialled not in CODES:
                log.error("channel %s dialled what is no feature code", channel.id)
                return
            # AMI tells this too, but perhaps later: no call must come in between.
            await self._desk.tell_devices({extension: "INUSE"}, channel.began_at)
            refused = await feature_code(
                channel, self._sounds, self._duty, extension=extension, dialled=channel.dialled
            )
            if refused:
                log.warning("%s of consultant %s refused: %s", channel.dialled, extension, refused)
        except LegGone:
            return
        except WeFailed as exc:
            log.error("%s of consultant %s failed: %s", channel.dialled, extension, exc)
        finally:
            await channel.hang_up()
            self._switchboard.forget(channel)

    async def _write(self, changes: Sequence[Change]) -> None:
        try:
            async with unit_of_work(self._engine) as connection:
                await history.keep(connection, changes)
        except (DataError, IntegrityError) as exc:  # trying again is no use, and holds up the rest
            log.critical("%d changes of states lost: %s", len(changes), type(exc.orig).__name__)
        except (SQLAlchemyError, OSError) as exc:
            raise WeFailed(f"the database failed: {type(exc).__name__}") from exc
