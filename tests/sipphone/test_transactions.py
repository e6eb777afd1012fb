"""Whatever UDP loses is said again, and what was heard twice counts once (RFC 3261, part 17)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from callcenter.sipphone import sdp, sip
from callcenter.sipphone.call import SipCall
from callcenter.sipphone.dialog import Dialog
from callcenter.sipphone.errors import CallOver
from callcenter.sipphone.phone import Phone
from callcenter.sipphone.sip import Request, Response
from tests.polling import until
from tests.sipphone.sockets import Socket, opened


@pytest.fixture
async def peer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Socket]:
    """The other side; it says nothing by itself. Repetitions come fast in these tests."""
    monkeypatch.setattr("callcenter.sipphone.transactions.T1", 0.05)
    async with opened(Socket(), "127.0.0.9") as socket:
        yield socket


@pytest.fixture
async def phone(peer: Socket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Phone]:
    monkeypatch.setattr("callcenter.sipphone.phone._PATIENCE", 0.1)
    async with Phone(server=peer.place) as opened_phone:
        yield opened_phone


def description() -> tuple[sip.Headers, bytes]:
    body = sdp.offer(("127.0.0.9", 9), ["PCMA"], version=1)
    return (("Content-Type", sdp.TYPE), ("Contact", "<sip:peer>")), body


def accept(peer: Socket, phone: Phone, invite: Request) -> None:
    headers, body = description()
    answer = sip.respond(invite, 200, tag="theirs", headers=headers, body=body)
    peer.transport.sendto(answer.render(), phone.place)


def invite_from(peer: Socket) -> Request:
    host, port = peer.place
    dialog = Dialog("their-call", "<sip:peer@x>;tag=theirs", "<sip:phone@x>", "sip:phone@x")
    return dialog.request(
        "INVITE",
        f"SIP/2.0/UDP {host}:{port};branch=z9hG4bKtheirs",
        headers=(("Contact", f"<sip:peer@{host}:{port}>"),),
        body=(sdp.TYPE, description()[1]),
    )


def say_in(dialog_of: Response, method: str, cseq: int) -> bytes:
    """A request of the peer in the dialog that the phone's answer has made."""
    dialog = Dialog(
        "their-call", dialog_of.need("From"), dialog_of.need("To"), "sip:phone@x", cseq=cseq - 1
    )
    number = cseq if method == "ACK" else None
    return dialog.request(method, f"SIP/2.0/UDP x;branch=z9hG4bK{method}", cseq=number).render()


async def answered_by(phone: Phone, peer: Socket) -> tuple[SipCall, asyncio.Task[None]]:
    """A call of the peer that the phone has just answered."""
    peer.transport.sendto(invite_from(peer).render(), phone.place)
    call = await phone.next_call()
    return call, asyncio.create_task(call.answer())


async def test_an_invite_is_repeated_until_something_comes_back(phone: Phone, peer: Socket) -> None:
    call = await phone.call("111")
    await until(lambda: len(peer.requests("INVITE")) == 3, "two repetitions")
    first, *again = peer.requests("INVITE")
    assert again == [first, first]
    peer.transport.sendto(sip.respond(first, 100).render(), phone.place)
    await until(lambda: "trying" in call.moments, "the answer is heard")
    before = len(peer.received)
    await asyncio.sleep(0.5)
    assert len(peer.received) == before


async def test_every_repetition_of_an_answer_is_acknowledged(phone: Phone, peer: Socket) -> None:
    call = await phone.call("111")
    await until(lambda: peer.requests("INVITE"), "the call")
    invite = peer.requests("INVITE")[0]
    for count in (1, 2, 3):
        accept(peer, phone, invite)
        await until(lambda: len(peer.requests("ACK")) == count, "acknowledged")  # noqa: B023
    await call.answered()
    assert {ack.cseq for ack in peer.requests("ACK")} == {(invite.cseq[0], "ACK")}


async def test_every_repetition_of_a_refusal_is_acknowledged(phone: Phone, peer: Socket) -> None:
    await phone.call("111")
    await until(lambda: peer.requests("INVITE"), "the call")
    invite = peer.requests("INVITE")[0]
    refusal = sip.respond(invite, 486, tag="theirs").render()
    for count in (1, 2):
        peer.transport.sendto(refusal, phone.place)
        await until(lambda: len(peer.requests("ACK")) == count, "acknowledged")  # noqa: B023
    # RFC 3261, 17.1.1.3: such an ACK belongs to the transaction of the INVITE.
    assert {ack.branch for ack in peer.requests("ACK")} == {invite.branch}


async def test_an_answer_that_crosses_our_cancel_is_hung_up(phone: Phone, peer: Socket) -> None:
    call = await phone.call("111")
    await until(lambda: peer.requests("INVITE"), "the call")
    invite = peer.requests("INVITE")[0]
    peer.transport.sendto(sip.respond(invite, 180, tag="theirs").render(), phone.place)
    cancelling = asyncio.create_task(call.cancel())
    await until(lambda: peer.requests("CANCEL"), "cancelled")
    assert peer.requests("CANCEL")[0].branch == invite.branch
    accept(peer, phone, invite)
    await until(lambda: peer.requests("BYE"), "hung up")
    for request in (peer.requests("BYE")[0], peer.requests("CANCEL")[0]):
        peer.transport.sendto(sip.respond(request, 200).render(), phone.place)
    await cancelling
    assert call.ended_by == "us"


async def test_a_repeated_call_rings_once(phone: Phone, peer: Socket) -> None:
    invite = invite_from(peer).render()
    for count in (1, 2, 3):
        peer.transport.sendto(invite, phone.place)
        await until(lambda: len(peer.responses(180)) == count, "it rings")  # noqa: B023
    assert len(phone.calls) == 1
    assert len({ringing.need("To") for ringing in peer.responses(180)}) == 1


async def test_our_answer_is_repeated_until_it_is_acknowledged(phone: Phone, peer: Socket) -> None:
    call, answering = await answered_by(phone, peer)
    await until(lambda: len(peer.responses(200)) == 3, "two repetitions")
    assert not answering.done()
    peer.transport.sendto(say_in(peer.responses(200)[0], "ACK", 1), phone.place)
    await answering
    before = len(peer.received)
    await asyncio.sleep(0.5)
    assert len(peer.received) == before
    assert "acknowledged" in call.moments


async def test_who_hangs_up_instead_of_acknowledging_ends_the_call(
    phone: Phone, peer: Socket
) -> None:
    call, answering = await answered_by(phone, peer)
    await until(lambda: peer.responses(200), "the answer")
    peer.transport.sendto(say_in(peer.responses(200)[0], "BYE", 2), phone.place)
    with pytest.raises(CallOver):
        await answering
    assert call.ended_by == "them"


async def test_a_request_of_no_call_of_ours_is_refused(phone: Phone, peer: Socket) -> None:
    call, answering = await answered_by(phone, peer)
    await until(lambda: peer.responses(200), "the answer")
    stranger = say_in(peer.responses(200)[0], "BYE", 2).replace(b"tag=theirs", b"tag=other")
    peer.transport.sendto(stranger, phone.place)
    await until(lambda: peer.responses(481), "refused")
    assert phone.calls == [call]
    call.drop()
    with pytest.raises(CallOver):
        await answering
