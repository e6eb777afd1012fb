"""A telephone at the small switch: its registration, its password."""

import pytest

from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from tests.polling import until
from tests.sipphone.exchange import Exchange
from tests.sipphone.telephones import consultants_phone, hears


async def test_a_registration_stays_until_it_is_removed(
    switch: Exchange, consultant: Phone
) -> None:
    contact = f"sip:201@127.0.0.4:{consultant.place[1]}"
    assert contact in switch.cli("pjsip show contacts")
    await consultant.unregister()
    assert contact not in switch.cli("pjsip show contacts")


async def test_a_registered_telephone_answers_options(switch: Exchange, consultant: Phone) -> None:
    await until(lambda: "Avail" in switch.cli("pjsip show contacts"), "OPTIONS are answered")


async def test_leaving_a_telephone_takes_its_registration_back(switch: Exchange) -> None:
    async with consultants_phone(switch) as phone:
        await phone.register()
    assert "201@127.0.0.4" not in switch.cli("pjsip show contacts")


@pytest.mark.parametrize("password", ["wrong", None])
async def test_a_wrong_password_is_refused(switch: Exchange, password: str | None) -> None:
    async with consultants_phone(switch, password) as phone:
        with pytest.raises(Refused, match="REGISTER was refused: 401") as caught:
            await phone.register()
        assert caught.value.status == 401
        call = await phone.call("echo")
        with pytest.raises(Refused, match="INVITE was refused: 401"):
            await call.answered()


async def test_a_call_that_is_challenged_is_made_with_the_password(switch: Exchange) -> None:
    async with consultants_phone(switch) as phone:
        call = await phone.call("echo")
        await call.answered()
        call.send_tone(700)
        await hears(call, 700)
