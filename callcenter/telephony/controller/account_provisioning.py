"""Provisions telephones in Asterisk as the database has them, at once when that changes."""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.consultants import store as consultants
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.config.renderer import (
    SipAccount,
    configuration_lock,
    is_reload_due,
    note_reload,
    write_accounts,
)

log = logging.getLogger(__name__)

REST_INTERVAL = 1.0  # seconds between two changes of Asterisk: many who come at once are one
MODULES = ("res_pjsip.so", "app_queue.so")  # of Asterisk, which read the accounts


class AccountProvisioning:
    """Writes the accounts for one controller; of several the first that comes has the work.

    What Asterisk has read is noted beside the accounts: if who wrote them, of whatever version,
    cannot have it reload, any other controller does, or the next one that starts.

    A telephone that leaves cannot register, be called or call any more; a conversation that it is
    in goes on. Faults are logged, and it is tried again a second later.
    """

    def __init__(
        self, settings: Settings, engine: AsyncEngine, ami: Ami, changes: Subscription
    ) -> None:
        """`changes` are those of telephones, `consultants.store.CHANGED`."""
        self._settings = settings
        self._engine = engine
        self._ami = ami
        self._changes = changes

    async def run(self) -> None:
        """Provision after each change and every minute, until cancelled."""
        fault = "telephones not provisioned"
        await self._changes.follow(self._provision, fault, rest=REST_INTERVAL)

    async def _provision(self) -> None:
        """Write the accounts that changed and have Asterisk read them."""
        async with configuration_lock(self._settings):
            async with unit_of_work(self._engine) as connection:
                accounts = await read_accounts(connection)
            await asyncio.to_thread(write_accounts, self._settings, accounts)
            if is_reload_due(self._settings):
                for module in MODULES:
                    await self._ami.action({"Action": "Reload", "Module": module})
                note_reload(self._settings)
                log.info("telephones provisioned: %d", len(accounts))


async def read_accounts(connection: AsyncConnection) -> list[SipAccount]:
    """The accounts of the telephones that may register now."""
    return [
        SipAccount(each.extension, each.digest, webrtc=each.in_browser)
        for each in await consultants.telephones(connection)
    ]
