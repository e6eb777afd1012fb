"""Which of Asterisk's SIP messages are calls that it refused, however they are mangled."""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.caller_id import WITHHELD, CallerId
from callcenter.telephony.asterisk import hep
from callcenter.telephony.asterisk.hep import CapturedMessage
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.reconciliation.refused_calls import (
    RefusedCall,
    RefusedCallFinder,
    may_concern,
)
from tests.rendered import given as rendered
from tests.sip_capture import OPERATOR, PASSWORD, answer, chunk, datagram, invite

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
CALLER = CallerId("number", "+77010000001")
SETTINGS = rendered.settings(
    operator_networks=(f"{OPERATOR}/32",),
    operators={
        "kcell": {"networks": ["2001:db8::/64"]},
        "beeline": {"registrar": "sip:sip.example.kz", "user": "7172111"},
    },
    called_numbers=("7111", "+7XXXXXXX111"),
)


@pytest.fixture
def finder() -> RefusedCallFinder:
    return RefusedCallFinder(SETTINGS)


def take(finder: RefusedCallFinder, payload: bytes, source: str = OPERATOR) -> RefusedCall | None:
    sent = datagram(payload, source, at=NOW)
    message = hep.parse(sent, PASSWORD)
    assert message is not None
    return finder.take(message) if may_concern(sent) else None


def test_a_refused_invite_of_an_operator_is_a_call(finder: RefusedCallFinder) -> None:
    assert take(finder, invite()) is None
    refused = take(finder, answer(), "127.0.0.1")
    assert refused is not None
    assert (refused.caller, refused.trunk, refused.status) == (CALLER, "operator", 488)
    assert refused.at == NOW  # when Asterisk refused it, not when it is heard
    assert refused.call_id.startswith("refused-")
    assert "a@b" not in refused.call_id
    call = refused.as_call()
    assert call.outcome is Outcome.LOST_TO_A_FAULT
    assert [dict(each.detail) for each in call.moments] == [{}, {"why": "no_codec"}]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        *((status, "not_understood") for status in (400, 415, 416, 420)),
        (500, "switch_failed"),
        (503, "no_room"),
    ],
)
def test_an_invite_that_is_not_taken_is_a_call(
    status: int, why: str, finder: RefusedCallFinder
) -> None:
    take(finder, invite())
    refused = take(finder, answer(status=status), "127.0.0.1")
    assert refused is not None
    assert [dict(each.detail) for each in refused.as_call().moments] == [{}, {"why": why}]


@pytest.mark.parametrize("method", ["ACK", "BYE", "OPTIONS", "REGISTER"])
def test_a_message_of_no_refusal_is_not_parsed(method: str) -> None:
    request = invite().replace(b"INVITE ", f"{method} ".encode())
    assert not may_concern(datagram(request))
    assert not may_concern(datagram(answer(status=200)))


def test_a_repeated_invite_counts_once(finder: RefusedCallFinder) -> None:
    found = [take(finder, message) for message in (invite(), answer()) * 3]
    assert len([each for each in found if each]) == 1


@pytest.mark.parametrize(
    ("message", "status", "source"),
    [
        (invite(), 487, OPERATOR),
        (invite(), 482, OPERATOR),
        (invite(called="112"), 488, OPERATOR),
        (invite(to="<sip:111@127.0.0.1>;tag=2"), 488, OPERATOR),
        (invite(), 488, "127.0.0.66"),
        (invite(uri=";line=abc"), 400, "127.0.0.66"),
        (invite(uri=";line=abc"), 416, "127.0.0.66"),
        (answer(), 488, OPERATOR),
    ],
)
def test_other_answers_are_no_refused_calls(
    message: bytes, status: int, source: str, finder: RefusedCallFinder
) -> None:
    assert take(finder, message, source) is None
    assert take(finder, answer(status=status), "127.0.0.1") is None


@pytest.mark.parametrize(
    ("message", "source", "trunk"),
    [
        (invite(), "2001:db8::1", "operator-kcell"),
        (invite(uri=";line=abc"), "127.0.0.66", "registered"),
        (invite(called="7111"), OPERATOR, "operator"),
        (invite(called="%2B77172580111"), OPERATOR, "operator"),
        (invite().replace(b"Call-ID:", b"i :").replace(b"From:", b"f:"), OPERATOR, "operator"),
    ],
)
def test_a_trunk_is_recognized_as_asterisk_does(
    message: bytes, source: str, trunk: str, finder: RefusedCallFinder
) -> None:
    take(finder, message, source)
    refused = take(finder, answer(), "127.0.0.1")
    assert refused is not None
    assert (refused.trunk, refused.caller) == (trunk, CALLER)


@pytest.mark.parametrize(
    ("message", "caller"),
    [
        (invite(also="Privacy: id"), WITHHELD),
        (invite(also="P-Asserted-Identity: <sip:+77010000002@x>\nPrivacy: user;id"), WITHHELD),
        (invite(also="Remote-Party-ID: <sip:+77010000002@x>;privacy=full"), WITHHELD),
        (invite(also="Remote-Party-ID: <sip:+77010000002@x>;privacy = full"), WITHHELD),
        (invite(also='Remote-Party-ID: <sip:+77010000002@x>;privacy\t= "full"'), WITHHELD),
        (
            invite(also="Remote-Party-ID: <sip:+7@x>\nRemote-Party-ID: <sip:+7@x>;privacy=uri"),
            WITHHELD,
        ),
        (invite(also="Privacy: session\nPrivacy: critical\nPrivacy: id"), WITHHELD),
        (invite(number="anonymous", also="P-Asserted-Identity: <tel:+77010000002>"), WITHHELD),
        (invite(number="nobody"), WITHHELD),
        (invite(also="Privacy: history"), CALLER),
        (
            invite(also="P-Asserted-Identity: <tel:+77010000002>"),
            CallerId("number", "+77010000002"),
        ),
        (invite(number="+7%2877010000001"), CallerId("unreadable", None)),
    ],
)
def test_a_withheld_number_is_withheld(
    message: bytes, caller: CallerId, finder: RefusedCallFinder
) -> None:
    take(finder, message)
    refused = take(finder, answer())
    assert refused is not None
    assert refused.caller == caller


_HOSTILE: dict[str, Callable[[int], bytes]] = {
    "no end of the user": lambda size: invite(called="a" * size).replace(b"@", b""),
    "no end of the parameters": lambda size: invite(called=";" * size).replace(b"@", b""),
    "no end of the host": lambda size: invite(uri="a" * size).replace(b" SIP/2", b" SIP/3"),
    "no end of a name": lambda size: invite(also="a" * size),
    "nothing but names": lambda size: invite(also="a:\n" * (size // 3)),
    "no end of spaces": lambda size: invite(also="Privacy" + " " * size),
    "no end of folded lines": lambda size: invite(also="From:" + "\n " * (size // 2)),
    "no end of a number": lambda size: invite(number="%" * size),
    "no end of a sequence": lambda size: answer(cseq="1" * size),
    "no end of spaces before a sequence": lambda size: answer(cseq=" " * size + "1"),
    "no end of tags": lambda size: invite(to="<sip:111@x>" + ";tag " * (size // 5)),
    "no end of schemes": lambda size: invite(also="P-Asserted-Identity: " + "sip" * (size // 3)),
    "no end of privacy": lambda size: invite(also="Remote-Party-ID: privacy" + "=" * size),
    "no end of privacies": lambda size: invite(
        also="Remote-Party-ID: " + "privacy =" * (size // 9)
    ),
}


@pytest.mark.parametrize("size", [7_000, 15_000, 60_000])
@pytest.mark.parametrize("shape", _HOSTILE)
def test_a_hostile_message_costs_no_more_than_its_length(
    shape: str, size: int, finder: RefusedCallFinder
) -> None:
    message = _HOSTILE[shape](size)
    for source in (OPERATOR, "127.0.0.66"):
        for _ in range(100):  # in squares of their length: minutes, beyond the limit of a test
            assert finder.take(CapturedMessage(NOW, ip_address(source), message)) is None


def test_of_a_flood_the_oldest_is_forgotten(finder: RefusedCallFinder) -> None:
    for number in range(5_000):
        take(finder, invite(f"{number}"))
    assert take(finder, answer("0")) is None
    assert take(finder, answer("4999")) is not None
    for number in range(20_000):
        take(finder, invite(f"{number}"))
        take(finder, answer(f"{number}"))
    assert take(finder, invite("0")) is None
    assert take(finder, answer("0")) is not None


def test_only_our_own_asterisk_is_heard() -> None:
    assert hep.parse(datagram(b"x", password="another"), PASSWORD) is None
    assert hep.parse(datagram(b"x"), PASSWORD) is not None


GOOD = datagram(invite())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.integers(0, len(GOOD)).map(lambda size: GOOD[:size]),
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)).map(
            lambda change: GOOD[: change[0]] + bytes([change[1]]) + GOOD[change[0] + 1 :]
        ),
        st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=20)), max_size=40).map(
            lambda chunks: _datagram_of([chunk(kind, value) for kind, value in chunks])
        ),
    )
)
def test_a_mangled_datagram_is_none_or_a_message(data: bytes) -> None:
    message = hep.parse(data, PASSWORD)
    assert message is None or isinstance(message.payload, bytes)
    if len(data) < len(GOOD):
        assert message is None or data != GOOD[: len(data)]


def _datagram_of(chunks: list[bytes]) -> bytes:
    body = b"".join([*chunks, chunk(14, PASSWORD.encode())])
    return b"HEP3" + (6 + len(body)).to_bytes(2) + body


def test_a_datagram_of_nothing_but_chunks_is_none() -> None:
    assert hep.parse(_datagram_of([chunk(1, b"")] * 10_000), PASSWORD) is None


@given(st.binary(max_size=300), st.integers(0, 200), st.booleans())
def test_a_mangled_message_never_raises(noise: bytes, at: int, answers: bool) -> None:
    finder = RefusedCallFinder(SETTINGS)
    message = hep.parse(GOOD, PASSWORD)
    assert message is not None
    good = answer() if answers else invite()
    for payload in (noise, good[:at] + noise + good[at:], good[:at] + noise, answer()):
        finder.take(CapturedMessage(NOW, message.source, payload))
