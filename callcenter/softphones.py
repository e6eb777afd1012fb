"""Softphones of consultants, as Asterisk is told of them."""

from callcenter.asterisk.render import SipAccount, apply, turn
from callcenter.consultants import store as consultants
from callcenter.settings import Settings
from callcenter.storage.engine import once


async def sip_accounts(settings: Settings) -> list[SipAccount]:
    """The softphones that may sign in now. Raises NotReady without a migrated database."""
    everyone = await once(settings, consultants.active)
    return [SipAccount(each.extension, each.digest, webrtc=each.in_browser) for each in everyone]


async def render_asterisk(settings: Settings, *, reload: bool) -> list[str]:
    """Write Asterisk's configuration anew; returns the names of the files that changed.

    With `reload` the running Asterisk takes over what it can, without disturbing calls. Of two
    changes at once the later one tells of both.
    """
    async with turn(settings):
        return await apply(settings, await sip_accounts(settings), reload)
