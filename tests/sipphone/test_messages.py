"""SIP, SDP and RTP as text and bytes: what comes from outside never breaks the telephone."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.sipphone import rtp, sdp, sip
from callcenter.sipphone.dialog import Dialog, dialog_of_invite
from callcenter.sipphone.sip import BadMessage, Request, Response

INVITE = b"""INVITE sip:201@127.0.0.4:4000 SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bKPj1\r
v: SIP/2.0/UDP 127.0.0.9\r
f: "A, \\"B\\" <C>" <sip:+77011234567@127.0.0.1>;tag=abc\r
To: <sip:201@127.0.0.4>\r
Contact: <sip:asterisk@127.0.0.1:5070>\r
Call-ID: one\r
CSeq: 7 INVITE\r
Record-Route: <sip:10.0.0.1;lr>, <sip:10.0.0.2;lr>\r
Subject: folded\r
  over lines\r
l: 4\r
\r
body and more"""

SESSION = b"""v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=Asterisk\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 12000 RTP/AVP 18 0 8 96 101\r
a=rtpmap:96 telephone-event/8000\r
a=rtpmap:101 telephone-event/16000\r
a=sendonly\r
m=video 9 RTP/AVP 31\r
a=inactive\r
"""


def mangled(original: bytes) -> st.SearchStrategy[bytes]:
    """The original with a piece replaced by anything: closer to the mark than mere noise."""
    places = st.integers(0, len(original))

    def cut(start: int, end: int, new: bytes) -> bytes:
        return original[:start] + new + original[max(start, end) :]

    return st.builds(cut, places, places, st.binary(max_size=20))


def test_a_message_has_compact_names_folded_lines_and_length() -> None:
    message = sip.parse(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.uri) == ("INVITE", "sip:201@127.0.0.4:4000")
    assert message.cseq == (7, "INVITE")
    assert message.branch == "z9hG4bKPj1"
    assert message.first("subject") == "folded over lines"
    assert message.body == b"body"
    assert sip.uri_of(message.need("From")) == "sip:+77011234567@127.0.0.1"
    assert sip.user_of(message.need("From")) == "+77011234567"
    assert sip.parameters(message.need("From")) == {"tag": "abc"}


@given(st.binary(max_size=200) | mangled(INVITE))
@example(b"")
@example(b"SIP/2.0 200 OK\r\nVia:\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 A\r\n\r\n")
def test_the_sip_parser_raises_nothing_but_bad_message(data: bytes) -> None:
    with suppress(BadMessage):
        message = sip.parse(data)
        # what a telephone does with any message that was let through
        assert message.branch is not None
        sip.place_of(sip.uri_of(message.need("From")))
        if isinstance(message, Response):
            sip.challenge_of(message)
        else:
            sip.respond(message, 200, tag="x")
            dialog_of_invite(message, "x").request("BYE", "via")


@given(mangled(SESSION) | st.binary(max_size=100))
def test_the_sdp_parser_raises_nothing_but_bad_session(data: bytes) -> None:
    with suppress(sdp.BadSession):
        session = sdp.parse(data)
        sdp.answer(("127.0.0.1", 1), session, ["PCMA"], version=1)


@given(st.binary(max_size=100), st.floats(0, 1e9))
def test_the_rtp_parser_never_raises(data: bytes, arrived_at: float) -> None:
    packet = rtp.parse(data, arrived_at)
    assert packet is None or len(packet.payload) <= len(data) - 12


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)


@given(text, st.binary(max_size=50))
def test_a_rendered_request_is_read_as_it_was(display: str, body: bytes) -> None:
    dialog = Dialog("id", f"{sip.quoted(display)} <sip:1@2>;tag=t", "<sip:3@4>", "sip:3@4")
    request = dialog.request("INVITE", "SIP/2.0/UDP 1.2.3.4;branch=b", body=("a/b", body))
    again = sip.parse(request.render())
    assert isinstance(again, Request)
    assert again.need("From") == request.need("From")
    assert sip.uri_of(again.need("From")) == "sip:1@2"
    assert again.body == body


@pytest.mark.parametrize("sign", ["\r", "\n", "\0"])
def test_a_line_break_in_a_header_is_refused(sign: str) -> None:
    dialog = Dialog("id", "<sip:1@2>;tag=t", "<sip:3@4>", "sip:3@4")
    request = dialog.request("INVITE", "v", headers=(("X-Note", f"a{sign}b"),))
    with pytest.raises(InvalidRequest, match="X-Note"):
        request.render()


def test_a_called_side_answers_by_the_invites_way() -> None:
    invite = sip.parse(INVITE)
    assert isinstance(invite, Request)
    dialog = dialog_of_invite(invite, "ours")
    bye = dialog.request("BYE", "via")
    assert bye.every("Route") == ("<sip:10.0.0.1;lr>", "<sip:10.0.0.2;lr>")
    assert bye.uri == "sip:asterisk@127.0.0.1:5070"
    assert dialog.belongs(
        replace(
            invite,
            headers=(
                ("To", "<sip:201@127.0.0.4>;tag=ours"),
                ("From", "<sip:x@y>;tag=abc"),
                ("Call-ID", "one"),
            ),
        )
    )


def test_a_calling_side_takes_the_recorded_way_backwards() -> None:
    dialog = Dialog("one", "<sip:1@2>;tag=t", "<sip:3@4>", "sip:3@4")
    dialog.learn(
        Response(
            200,
            "OK",
            headers=(
                ("To", "<sip:3@4>;tag=theirs"),
                ("Contact", "<sip:x@127.0.0.1:9>"),
                ("Record-Route", "<sip:a;lr>"),
                ("Record-Route", "<sip:b;lr>, <sip:c;lr>"),
            ),
        )
    )
    bye = dialog.request("BYE", "via")
    assert bye.every("Route") == ("<sip:c;lr>", "<sip:b;lr>", "<sip:a;lr>")
    assert bye.uri == "sip:x@127.0.0.1:9"
    assert bye.need("To").endswith("tag=theirs")


def test_a_challenge_is_answered_as_in_rfc_2617() -> None:
    requested = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    challenge = sip.challenge_of(
        Response(
            401,
            "Unauthorized",
            headers=(
                ("WWW-Authenticate", 'Digest realm="x", nonce="y", algorithm=SHA-256'),
                ("WWW-Authenticate", requested),
            ),
        )
    )
    assert challenge is not None
    name, value = sip.answer_challenge(
        challenge,
        user="Mufasa",
        password="Circle Of Life",
        method="GET",
        uri="/dir/index.html",
        cnonce=lambda: "0a4f113b",
    )
    assert name == "Authorization"
    assert 'response="6629fae49393a05397450978507c4ef1"' in value


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:a@127.0.0.1:5070;lr", ("127.0.0.1", 5070)),
        ("sip:127.0.0.1", ("127.0.0.1", 5060)),
        ("sip:a@[2001:db8::1]:5070;lr", ("2001:db8::1", 5070)),
        ("sip:[::1]", ("::1", 5060)),
        ("sip:a@host.example;transport=udp", ("host.example", 5060)),
        ("sip:a@h:99999", None),
        ("sip:a@h:" + "9" * 5000, None),
        ("tel:111", None),
    ],
)
def test_a_uri_says_where_to_send(uri: str, place: sip.Place | None) -> None:
    assert sip.place_of(uri) == place


def test_a_session_is_its_first_audio_stream() -> None:
    session = sdp.parse(SESSION)
    assert (session.address, session.port, session.direction) == ("127.0.0.1", 12000, "sendonly")
    assert session.events == 96
    assert not session.listens
    assert session.codec(["PCMA", "PCMU"]) == ("PCMU", 0)
    assert session.codec(["PCMA"]) == ("PCMA", 8)


def test_our_offer_and_answer_are_read_as_they_were_meant() -> None:
    offer = sdp.parse(sdp.offer(("127.0.0.2", 4000), ["PCMA", "PCMU"], version=1))
    assert offer.payloads == ((8, "PCMA/8000"), (0, "PCMU/8000"), (101, "TELEPHONE-EVENT/8000"))
    answer = sdp.parse(sdp.answer(("127.0.0.3", 6000), sdp.parse(SESSION), ["PCMA"], version=1))
    assert answer.payloads == ((8, "PCMA/8000"), (96, "TELEPHONE-EVENT/8000"))
    assert answer.direction == "recvonly"


@pytest.mark.parametrize(
    ("address", "family"), [("127.0.0.2", "IP4"), ("::1", "IP6"), ("2001:db8::1", "IP6")]
)
def test_a_session_is_described_in_the_family_of_its_address(address: str, family: str) -> None:
    offer = sdp.offer((address, 4000), ["PCMA"], version=1)
    assert f"c=IN {family} {address}" in offer.decode().splitlines()
    assert sdp.parse(offer).address == address


def test_nobody_listens_at_the_unspecified_address() -> None:
    assert not sdp.parse(sdp.offer(("0.0.0.0", 4000), ["PCMA"], version=1)).listens  # noqa: S104
    assert not sdp.parse(sdp.offer(("::", 4000), ["PCMA"], version=1)).listens


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"m=audio 1 RTP/AVP 8\r\n",
        b"c=IN IP4 127.0.0.1\r\nm=audio 70000 RTP/AVP 8\r\n",
        b"c=IN IP4 example.org\r\nm=audio 1 RTP/AVP 8\r\n",
        b"c=IN IP4 ::1\r\nm=audio 1 RTP/AVP 8\r\n",
        b"c=IN IP6 127.0.0.1\r\nm=audio 1 RTP/AVP 8\r\n",
        b"c=IN IP4 127.0.0.1\r\nm=video 1 RTP/AVP 8\r\n",
    ],
)
def test_a_session_that_cannot_be_used_is_refused(body: bytes) -> None:
    with pytest.raises(sdp.BadSession):
        sdp.parse(body)


def test_a_session_without_our_codecs_is_refused() -> None:
    with pytest.raises(sdp.BadSession, match="codec"):
        sdp.parse(b"c=IN IP4 127.0.0.1\r\nm=audio 1 RTP/AVP 18 9\r\n").codec(["PCMA", "PCMU"])
