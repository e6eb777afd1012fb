"""Provision consultants' softphones in Asterisk's configuration."""

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import run_once_in_transaction
from callcenter.telephony.asterisk.config.renderer import SipAccount, apply, configuration_lock
from callcenter.telephony.controller.account_provisioning import read_accounts


async def sip_accounts(settings: Settings) -> list[SipAccount]:
    """The telephones that may register now. Raises DependencyUnavailable without a migrated
    database.
    """
    return await run_once_in_transaction(settings, read_accounts)


async def render_asterisk(settings: Settings, *, reload: bool) -> list[str]:
    """Write Asterisk's configuration anew; returns the names of the files that changed.

    With `reload` the running Asterisk takes over what it can, without disturbing calls. Of two
    changes at once the later one writes both.
    """
    async with configuration_lock(settings):
        return await apply(settings, await sip_accounts(settings), reload)
