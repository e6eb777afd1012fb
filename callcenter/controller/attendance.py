"""What consultants ask for by feature codes."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.asterisk.channel import Channel
from callcenter.asterisk.channels import Channels
from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.terms import reason_of_key
from callcenter.errors import WeFailed
from callcenter.line.codes import code_of, extension_of, feature_code
from callcenter.line.ports import LegGone, Sounds
from callcenter.storage.engine import unit_of_work

KNOWN_WITHIN = 1.0  # seconds for the database to tell a reason

log = logging.getLogger(__name__)


class Attendance:
    """One controller's part in it."""

    def __init__(
        self,
        desk: Desk,
        duty: DutyDesk,
        channels: Channels,
        sounds: Sounds,
        engine: AsyncEngine,
    ) -> None:
        self._desk = desk
        self._duty = duty
        self._channels = channels
        self._sounds = sounds
        self._engine = engine

    async def serve(self, channel: Channel) -> None:
        """Do what a consultant dialled; whatever happens, nothing is left in the switch."""
        extension = extension_of(channel.name)
        try:
            code = code_of(channel.dialled)
            if extension is None or code is None:
                log.error("channel %s dialled what is no feature code", channel.id)
                return
            # AMI tells this too, but perhaps later: no call must come in between.
            await self._desk.tell_devices({extension: "INUSE"}, channel.began_at)
            refused = await feature_code(
                channel,
                self._sounds,
                self._duty,
                code,
                extension=extension,
                reason_of=self._reason_of,
            )
            if refused:
                log.warning("%s of consultant %s refused: %s", channel.dialled, extension, refused)
        except LegGone:
            return
        except WeFailed as exc:
            log.error("%s of consultant %s failed: %s", channel.dialled, extension, exc)
        finally:
            await self._channels.let_go(channel)

    async def _reason_of(self, key: int) -> str:
        """Raises AskedWrongly when no reason has this key, WeFailed when it cannot be told now."""
        try:
            async with asyncio.timeout(KNOWN_WITHIN), unit_of_work(self._engine) as connection:
                return await reason_of_key(connection, key)
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            raise WeFailed(f"the reasons of pauses cannot be read: {type(exc).__name__}") from exc
