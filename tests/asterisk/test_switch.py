"""The switch of the tests itself."""

import pytest

from callcenter.platform.core.settings import Settings
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from tests.asterisk.switch import CONSULTANTS, PASSWORD, STRANGER, Switch, account, with_free_ports
from tests.polling import until


async def test_it_is_killed_stopped_and_started_with_our_configuration(settings: Settings) -> None:
    async with Switch(with_free_ports(settings), [account("1001", PASSWORD)]) as switch:
        phone = Phone(address=CONSULTANTS, server=switch.sip, user="1001", password=PASSWORD)
        async with phone:
            await phone.register()
            await switch.kill()
            assert not switch.is_running
            await switch.start()
            await phone.register()
            await phone.unregister()
            await switch.stop()
            assert not switch.is_running


async def test_a_channel_that_is_left_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody claims the call: it waits in the dialplan.
    switch = Switch(with_free_ports(settings, claim_timeout=30))
    async with switch, Phone(server=switch.sip) as caller:
        call = await caller.call("111")
        await until(lambda: "trying" in call.moments, "the call is there")
        with monkeypatch.context() as short:
            short.setattr("tests.asterisk.switch._LEFT_LIMIT", 0.2)
            with pytest.raises(AssertionError, match="left in Asterisk: PJSIP/operator-"):
                await switch.assert_no_resources_left()
        await call.hang_up()
        await switch.assert_no_resources_left()


async def test_a_stranger_gets_no_call(switch: Switch) -> None:
    async with Phone(address=STRANGER, server=switch.sip) as stranger:
        call = await stranger.call("111")
        with pytest.raises(Refused, match="401"):
            await call.answered()
        await until(lambda: STRANGER in switch.log("security.log"), "the stranger is in the log")
