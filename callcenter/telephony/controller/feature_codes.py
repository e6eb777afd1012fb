"""Serve the feature codes that consultants dial: presence and pauses."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.reference_lists import reason_of_key
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.calls.conversation.feature_codes import (
    extension_of,
    find_code,
    run_feature_code,
)
from callcenter.telephony.calls.ports import LegHungUp
from callcenter.telephony.controller.dependencies import CallDependencies

DATABASE_TIMEOUT = 1.0  # seconds for the database to tell a reason

log = logging.getLogger(__name__)


class FeatureCodeService:
    """Feature codes of one controller."""

    def __init__(self, dependencies: CallDependencies, presence: PresenceService) -> None:
        self._distributor = dependencies.distributor
        self._channels = dependencies.switch.channels
        self._prompts = dependencies.prompts
        self._engine = dependencies.engine
        self._presence = presence

    async def serve(self, channel: Channel) -> None:
        """Carry out the code that a consultant dialled; nothing is left in Asterisk."""
        extension = extension_of(channel.name)
        try:
            code = find_code(channel.dialled)
            if extension is None or code is None:
                log.error("feature code refused: channel %s dialled none", channel.id)
                return
            # AMI reports this too, but perhaps later: no call must come in between.
            await self._distributor.update_devices({extension: "INUSE"}, channel.began_at)
            refused = await run_feature_code(
                channel,
                self._prompts,
                self._presence,
                code,
                extension=extension,
                reason_of=self._reason_of,
            )
            if refused:
                log.warning(
                    "feature code refused: %s of consultant %s: %s",
                    channel.dialled,
                    extension,
                    refused,
                )
        except LegHungUp:
            return
        except OperationFailed as exc:
            log.error(
                "feature code failed: %s of consultant %s: %s", channel.dialled, extension, exc
            )
        finally:
            await self._channels.hang_up(channel)

    async def _reason_of(self, key: int) -> str:
        """Look up the reason of a pause by its key.

        Raises InvalidRequest when no reason has this key, OperationFailed when the database fails.
        """
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT), unit_of_work(self._engine) as connection:
                return await reason_of_key(connection, key)
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            raise OperationFailed(
                f"the reasons of pauses cannot be read: {type(exc).__name__}"
            ) from exc
