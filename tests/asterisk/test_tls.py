"""With a certificate a telephone speaks to a real Asterisk by TLS, and is offered SRTP alone."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.config.renderer import apply
from tests.asterisk.switch import CONSULTANTS, PASSWORD, Switch, account, with_free_ports
from tests.asterisk.tls_relay import TlsRelay, tls_relay
from tests.certificates import make_certificate
from tests.polling import until
from tests.services import new_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_TLS, BY_UDP = "1001", "1002"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def switch(short_folder: Path) -> AsyncIterator[Switch]:
    folder = new_folder(short_folder / "tls")
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = make_certificate(folder)
    settings = with_free_ports(
        Settings(_env_file=None, var=folder), sip_certificate=certificate, sip_key=key
    )
    async with Switch(settings, [account(each, PASSWORD) for each in (BY_TLS, BY_UDP)]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def relay(switch: Switch) -> AsyncIterator[TlsRelay]:
    assert switch.settings.sip_certificate is not None
    server = (switch.sip[0], switch.settings.sip_tls_port)
    async with tls_relay(server, CONSULTANTS, switch.settings.sip_certificate) as running:
        yield running


def telephone(server: tuple[str, int], user: str) -> Phone:
    return Phone(server=server, address=CONSULTANTS, user=user, password=PASSWORD)


async def call(switch: Switch, extension: str) -> int:
    """Have Asterisk call this telephone; returns the status of its answer."""
    secret = read_secret(switch.settings.secrets_folder, "ari")
    headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", secret)}
    query = {"endpoint": f"PJSIP/{extension}", "extension": "111", "context": "from-operator"}
    url = f"http://127.0.0.1:{switch.settings.ari_port}/ari/channels"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, params=query) as answer,
    ):
        return answer.status


async def test_a_telephone_is_offered_srtp_over_tls(switch: Switch, relay: TlsRelay) -> None:
    async with telephone(relay.place, BY_TLS) as phone:
        await phone.register()
        assert await call(switch, BY_TLS) == 200
        await until(lambda: any(_is_invite(each) for each in relay.received), "it is called")
    (invite,) = {each for each in relay.received if _is_invite(each)}
    assert b"RTP/SAVP " in invite
    assert b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" in invite


async def test_a_telephone_that_offers_plain_sound_is_refused(
    switch: Switch, relay: TlsRelay
) -> None:
    async with telephone(relay.place, BY_TLS) as phone:
        await phone.register()
        with pytest.raises(Refused, match="488"):
            await (await phone.call("*21")).answered()
    await switch.assert_no_resources_left()


async def test_who_registers_in_clear_is_not_called(switch: Switch) -> None:
    async with telephone(switch.sip, BY_UDP) as phone:
        await phone.register()
        await call(switch, BY_UDP)
        await switch.assert_no_resources_left()
        assert phone.calls == []


async def test_a_new_certificate_needs_no_restart(switch: Switch) -> None:
    assert switch.settings.sip_certificate is not None
    before = await _shown(switch)
    make_certificate(switch.settings.sip_certificate.parent)
    await apply(switch.settings, switch.accounts, reload=True)
    assert await _shown(switch) != before


async def _shown(switch: Switch) -> str:
    place = (switch.sip[0], switch.settings.sip_tls_port)
    return ssl.get_server_certificate(place, timeout=5)


def _is_invite(message: bytes) -> bool:
    return message.startswith(b"INVITE ")
