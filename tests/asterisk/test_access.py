"""A real Asterisk hears SIP from the networks that are named, and refuses the rest at once."""

import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from callcenter.commands import check
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk import sip_probe
from callcenter.telephony.asterisk.config.renderer import SipAccount, apply
from tests.asterisk.switch import (
    CONSULTANTS,
    OPERATOR,
    PASSWORD,
    STRANGER,
    UNIFIED_CENTER,
    Switch,
    account,
    with_free_ports,
)
from tests.polling import LIMIT, until
from tests.services import new_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

TELEPHONE, BROWSER = "1001", "1002"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def switch(short_folder: Path) -> AsyncIterator[Switch]:
    settings = with_free_ports(
        Settings(_env_file=None, var=new_folder(short_folder / "access")),
        claim_timeout=0.1,
        telephone_networks=(f"{CONSULTANTS}/32",),
    )
    browser = SipAccount(BROWSER, account(BROWSER, PASSWORD).digest, webrtc=True)
    async with Switch(settings, [account(TELEPHONE, PASSWORD), browser]) as running:
        yield running


async def registered(switch: Switch, address: str, user: str = TELEPHONE) -> int:
    """The status that a telephone gets which registers with the right password."""
    async with Phone(server=switch.sip, address=address, user=user, password=PASSWORD) as phone:
        try:
            await phone.register()
        except Refused as exc:
            return exc.status
        return 200


async def called(switch: Switch, address: str) -> int:
    async with Phone(server=switch.sip, address=address) as phone:
        call = await phone.call("111")
        try:
            await call.answered()
        except Refused as exc:
            return exc.status
        await call.hang_up()
        return 200


async def test_only_telephones_of_their_networks_register(switch: Switch) -> None:
    assert await registered(switch, CONSULTANTS) == 200
    assert await registered(switch, STRANGER) == 403


async def test_a_password_is_worth_nothing_elsewhere_on_the_trunks(switch: Switch) -> None:
    assert await registered(switch, UNIFIED_CENTER) == 401
    assert await registered(switch, CONSULTANTS, BROWSER) == 401, "a browser comes by the proxy"


async def test_operators_call_and_strangers_are_refused(switch: Switch) -> None:
    assert await called(switch, OPERATOR) == 200
    assert await called(switch, STRANGER) == 403


async def test_this_machine_is_answered_unless_asterisk_hangs(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_silent() -> bool:
        return not await sip_probe.answers_sip(switch.settings)

    monkeypatch.setattr(sip_probe, "REPEAT_AFTER", (LIMIT,))
    assert not await is_silent()
    os.kill(switch.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(sip_probe, "REPEAT_AFTER", (0.1,))
            await until(is_silent, "each of its threads has stopped")
    finally:
        os.kill(switch.pid, signal.SIGCONT)
    assert not await is_silent()
    assert "'OPTIONS'" not in switch.log()


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 404), (CONSULTANTS, 401)])
async def test_who_asks_whether_sip_is_answered_calls_nobody(
    switch: Switch, address: str, status: int
) -> None:
    async with Phone(server=switch.sip, address=address, user="probe") as phone:
        for number in ("111", TELEPHONE):
            with pytest.raises(Refused, match=f"{status}"):
                await (await phone.call(number)).answered()
        with pytest.raises(Refused):
            await phone.register()


async def test_a_changed_list_needs_no_restart(switch: Switch) -> None:
    networks = (*switch.settings.telephone_networks, f"{STRANGER}/32")
    changed = switch.settings.model_copy(update={"telephone_networks": networks})
    for settings, status in ((changed, 200), (switch.settings, 403)):
        await apply(settings, switch.accounts, reload=True)
        assert await registered(switch, STRANGER) == status


NAMED = {"network_uri": "sip:{number}@sip.example.kz"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "heard from 9 networks"),
        (NAMED, "everywhere.*of sip.example.kz"),
        (NAMED | {"sip_networks": ["192.0.2.0/28"]}, "heard from 10 networks"),
    ],
)
async def test_check_tells_from_where_sip_is_heard(
    settings: Settings, changes: dict[str, object], words: str
) -> None:
    look = check.CHECKS["telephone"]["access"]
    state, said = check.examine(look, with_free_ports(settings, **changes))
    assert re.search(words, said)
    assert state == ("warn" if "everywhere" in words else "ok")
