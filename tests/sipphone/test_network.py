"""A telephone on a bad network, and many calls at once."""

import asyncio

import pytest

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.sipphone.errors import NoAnswer
from callcenter.sipphone.phone import Phone
from callcenter.sipphone.sip import Place
from tests.polling import until
from tests.sipphone.exchange import Exchange
from tests.sipphone.sockets import Socket, opened
from tests.sipphone.telephones import hears


class Relay(Socket):
    """A network that loses the first copy of everything that passes it."""

    def __init__(self, server: Place) -> None:
        super().__init__()
        self.server, self.lost = server, 0
        self._seen: set[bytes] = set()
        self._client: Place | None = None

    def datagram_received(self, data: bytes, addr: Place) -> None:
        if addr != self.server:
            self._client = addr
        if data not in self._seen:
            self._seen.add(data)
            self.lost += 1
            return
        to = self._client if addr == self.server else self.server
        self.transport.sendto(data, to)


async def test_whatever_is_lost_once_is_said_again(switch: Exchange) -> None:
    # The relay has the trunk's address, because Asterisk sees the relay.
    async with opened(Relay(switch.server), "127.0.0.2") as relay:
        async with Phone(server=relay.place) as phone:
            call = await phone.call("echo")
            await call.answered()
            call.send_tone(440)
            await hears(call, 440)
            await call.hang_up()
        assert relay.lost >= 2


async def test_a_silent_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callcenter.sipphone.transactions.GIVE_UP", 0.2)
    async with opened(Socket(), "127.0.0.9") as nobody, Phone(server=nobody.place) as phone:
        with pytest.raises(NoAnswer, match=f"nothing at 127.0.0.9:{nobody.place[1]}.* REGISTER"):
            await phone.register()
        call = await phone.call("echo")
        with pytest.raises(NoAnswer, match="INVITE"):
            await call.answered()


async def test_garbage_and_strange_requests_do_not_disturb(switch: Exchange, caller: Phone) -> None:
    call = await caller.call("echo")
    await call.answered()
    strange = (
        "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a>;tag=1\r\n"
        f"To: <sip:b>;tag=2\r\nCall-ID: {call.call_id}\r\nCSeq: 1 BYE\r\n\r\n"
    )
    async with opened(Socket(), "127.0.0.9") as stranger:
        for data in (b"\0\r\n", b"garbage", b"\xff" * 1400, b"INVITE x SIP/2.0\r\n\r\n"):
            stranger.transport.sendto(data, caller.place)
        stranger.transport.sendto(strange.encode(), caller.place)
        await until(lambda: caller.garbage == 3, "garbage is counted")
        call.send_tone(440)
        await hears(call, 440)
    assert not call.is_over


async def test_a_port_in_use_is_named(switch: Exchange, caller: Phone) -> None:
    with pytest.raises(DependencyUnavailable, match=f":{caller.place[1]}"):
        async with Phone(server=switch.server, port=caller.place[1]):
            pass


async def test_fifty_calls_at_once_hear_each_their_own_tone(switch: Exchange) -> None:
    async with Phone(server=switch.server) as phone:
        calls = [await phone.call("echo") for _ in range(50)]
        await asyncio.gather(*(call.answered(20) for call in calls))
        for number, call in enumerate(calls):
            call.send_tone(400 + 50 * number)
        for number, call in enumerate(calls):
            await hears(call, 400 + 50 * number)
        await asyncio.gather(*(call.hang_up() for call in calls))
        assert phone.calls == []


async def test_leaving_a_telephone_ends_its_calls_at_every_stage(
    switch: Exchange, consultant: Phone
) -> None:
    async with Phone(server=switch.server) as phone:
        calls = [await phone.call(number) for number in ("echo", "ring", "consultant")]
        await calls[0].answered()
        await calls[1].ringing()
        calls.append(await phone.call("echo"))
    assert [call.ended_by for call in calls] == ["us"] * 4
    assert asyncio.all_tasks() == {asyncio.current_task()}
