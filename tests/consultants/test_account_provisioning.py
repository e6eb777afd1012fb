"""Accounts that were written and not read reach Asterisk by any controller that has AMI."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import Subscription
from callcenter.telephony.asterisk.ami import Ami, AmiUnavailable, Answer
from callcenter.telephony.asterisk.config.binary import configuration
from callcenter.telephony.asterisk.config.renderer import (
    SipAccount,
    accounts_folder,
    compose,
    compose_accounts,
    write,
)
from callcenter.telephony.controller.account_provisioning import MODULES, AccountProvisioning
from tests.polling import until
from tests.rendered.given import PROGRAM, SECRETS

ACCOUNT = SipAccount("201", "0" * 32)


class OneAmi:
    """AMI of one controller: it notes what it is to reload, or is not connected."""

    def __init__(self, *, is_connected: bool = True) -> None:
        self.is_connected = is_connected
        self.reloaded: list[str] = []

    async def action(self, fields: Mapping[str, str]) -> Answer:
        if not self.is_connected:
            raise AmiUnavailable("not connected")
        self.reloaded.append(fields["Module"])
        return Answer({}, ())


@asynccontextmanager
async def controller(
    settings: Settings, engine: AsyncEngine, ami: OneAmi
) -> AsyncIterator[Subscription]:
    """The accounts of a controller, which looks at them when it is notified by what is given."""
    changes = Subscription()
    running = asyncio.create_task(
        AccountProvisioning(settings, engine, cast(Ami, ami), changes).run()
    )
    try:
        yield changes
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def render(settings: Settings, *accounts: SipAccount) -> None:
    """As `callcenter render` without `--reload`."""
    write(settings, compose(settings, accounts, PROGRAM, SECRETS))


def is_written(settings: Settings) -> bool:
    return "[201]" in (accounts_folder(settings) / "pjsip.conf").read_text()


async def add_201(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await store.add(
            connection,
            extension=ACCOUNT.extension,
            name="Aigul",
            languages=["kk"],
            digest=ACCOUNT.digest,
        )


@pytest.mark.parametrize("by", ["controller", "command", "version before"])
async def test_what_another_wrote_and_could_not_reload_is_reloaded(
    settings: Settings, engine: AsyncEngine, by: str
) -> None:
    render(settings)
    cut_off, connected = OneAmi(is_connected=False), OneAmi()
    async with (
        controller(settings, engine, cut_off) as first,
        controller(settings, engine, connected) as second,
    ):
        second.notify()
        await until(lambda: connected.reloaded == [*MODULES], "what was rendered is read")
        await add_201(engine)
        if by == "controller":
            first.notify()
        elif by == "command":
            render(settings, ACCOUNT)
        else:  # it writes what is to be read, and nothing beside
            for name, text in compose_accounts(settings, (ACCOUNT,)).items():
                (configuration(settings) / name).write_text(text)
        await until(lambda: is_written(settings), "the account is written")
        second.notify()
        await until(lambda: connected.reloaded == [*MODULES] * 2, "and it is read")
        assert cut_off.reloaded == []
