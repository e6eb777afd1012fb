"""A softphone with a certificate to trust: the sound of a conversation is encrypted to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callcenter.sipphone.phone import Phone
from tests.asterisk.srtp import SrtpRelay
from tests.asterisk.switch import CONSULTANTS, PASSWORD
from tests.asterisk.tls_relay import tls_relay
from tests.calls.call_center import CallCenter, running_call_center
from tests.calls.disposable_stack import connected
from tests.certificates import make_certificate
from tests.services import new_database, new_folder


@pytest.fixture
async def call_center(
    short_folder: Path, postgres: Path, redis_url: str, built_prompts: Path
) -> AsyncIterator[CallCenter]:
    keys = new_folder(short_folder / "tls")
    keys.mkdir(exist_ok=True)
    certificate, key = make_certificate(keys)
    with new_database(postgres) as database:
        async with running_call_center(
            short_folder / "encrypted",
            built_prompts,
            ("line-1",),
            database_url=database,
            redis_url=f"{redis_url}?db=9",
            wrap_up=0,
            sip_certificate=certificate,
            sip_key=key,
        ) as center:
            yield center


async def test_caller_and_encrypted_softphone_hear_each_other(call_center: CallCenter) -> None:
    settings = call_center.settings
    assert settings.sip_certificate is not None
    server = (call_center.switch.sip[0], settings.sip_tls_port)
    async with (
        SrtpRelay().open(CONSULTANTS) as sound,
        tls_relay(server, CONSULTANTS, settings.sip_certificate, sound) as relay,
        Phone(address=CONSULTANTS, server=relay.place, user="201", password=PASSWORD) as phone,
    ):
        await phone.register()
        async with call_center.caller() as caller:
            leg = await connected(call_center, caller, phone)
            await caller.hang_up()
            await leg.ended()
        assert sound.received > 0
        assert sound.refused == 0
