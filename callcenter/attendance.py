"""What consultants ask for by feature codes."""

import logging

from callcenter.asterisk.channel import Channel
from callcenter.asterisk.switchboard import Switchboard
from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.errors import WeFailed
from callcenter.line.codes import CODES, extension_of, feature_code
from callcenter.line.ports import LegGone, Sounds

log = logging.getLogger(__name__)


class Attendance:
    """One controller's part in it."""

    def __init__(
        self, desk: Desk, duty: DutyDesk, switchboard: Switchboard, sounds: Sounds
    ) -> None:
        self._desk = desk
        self._duty = duty
        self._switchboard = switchboard
        self._sounds = sounds

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
