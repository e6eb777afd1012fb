"""A real Asterisk refuses calls before there is a channel, and the register has them."""

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.sipphone.errors import Refused
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.open_files import PORTS_PER_CALL
from tests.asterisk import hostile
from tests.asterisk.switch import STRANGER, Switch, with_free_ports
from tests.storage.test_refused_calls import counted, listening, refused, until_counted


async def test_a_call_without_our_codecs_is_registered(
    switch: Switch, engine: AsyncEngine, redis: Redis
) -> None:
    async with listening(switch.settings, engine, redis):
        assert await hostile.invite_with_unknown_codecs(switch.sip) == 488
        assert await hostile.reinvite_with_unknown_codecs(switch.sip) == 488
        assert await hostile.invite_with_unknown_codecs(switch.sip, address=STRANGER) == 401
        assert await hostile.invite_with_unknown_codecs(switch.sip) == 488
        await until_counted(engine, 2)
    assert await refused(engine) == [("number", "+77010000000", "lost_to_a_fault", "no_codec")]
    assert await counted(engine) == {488: 2}


async def test_a_call_beyond_the_limit_is_registered(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    ports = with_free_ports(settings, claim_timeout=0.05)
    one_call = ports.model_copy(update={"rtp_end": ports.rtp_start + PORTS_PER_CALL - 1})
    async with (
        Switch(one_call) as switch,
        listening(switch.settings, engine, redis),
        Phone(server=switch.sip) as first,
        Phone(server=switch.sip, user="+77010000001") as second,
    ):
        call = await first.call("111")
        await call.answered()
        with pytest.raises(Refused, match="503"):
            await (await second.call("111")).answered()
        await until_counted(engine, 1, 503)
    assert await refused(engine) == [("number", "+77010000001", "lost_to_a_fault", "no_room")]
    assert await counted(engine) == {503: 1}
