"""Finds calls that Asterisk refused before there was a channel. Pure, without I/O.

Such a call is in no CEL and no log: an operator offered no codec of ours (488), or what Asterisk
does not take, or one call more than there may be (503). It is an INVITE of an operator to a number
of the line, and the answer to it. A call that has a channel is answered 200 first by the dialplan.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import unquote

from callcenter.platform.core.caller_id import WITHHELD, CallerId, parse_caller_id
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.hep import CapturedMessage
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall
from callcenter.telephony.reconciliation.rules import REFUSED_PREFIX

#: By the status of the answer.
WHY = {
    400: "not_understood",
    415: "not_understood",
    416: "not_understood",
    420: "not_understood",
    488: "no_codec",
    500: "switch_failed",
    503: "no_room",
    606: "no_codec",
}
#: A stranger gets these for a header, as a Contact that is missing, before Asterisk asks who it is:
#: from elsewhere than an operator's own addresses that is no call.
_ANSWERED_TO_ALL = frozenset({400, 416})
#: The trunk of a call that came by our registration, of whatever operator.
REGISTERED = "registered"

#: Beginnings of what `take` looks at: an INVITE, and an answer that may refuse one.
_BEGINNINGS = (b"INVITE ", b"SIP/2.0 4", b"SIP/2.0 5", b"SIP/2.0 6")
_MOST_READ = 8 * 1024  # bytes of a message: its headers are within
_MOST_INVITES = 4096  # without an answer yet
_MOST_COUNTED = 16_384  # calls that a repeated INVITE is known for

# No pattern has two ways to match the same text: a stranger chooses it, and this runs in the
# worker's event loop.
_REQUEST = re.compile(
    r"INVITE sips?:([^@;>\s]{0,128})(?:;[^@\s]{0,512})?@(\S{0,512}) SIP/2\.0\r?\n"
)
_RESPONSE = re.compile(r"SIP/2\.0 ([0-9]{3}) ")
_HEADER = re.compile(r"^([A-Za-z-]+)[ \t]*:[ \t]*(.*(?:\r?\n[ \t].*)*)", re.M)
_SHORT_NAMES = {"f": "from", "t": "to", "i": "call-id"}
_INVITE_CSEQ = re.compile(r"\s*([0-9]+)\s+INVITE\s*")
_TAG = re.compile(r";\s*tag\s*=", re.I)
_URI = re.compile(r"(?:sips?|tel):([^@;>?\s]*)", re.I)
_BY_LINE = re.compile(r";line=", re.I)
# As the dialplan has them (dialplan/extensions.conf.j2, docs/decisions/0077).
_PRIVATE = re.compile(r"(^|[^a-z])(id|user|header)([^a-z]|$)", re.I)
_PRIVATE_IDENTITY = re.compile(r"privacy[^a-z=]*=[^a-z=]*(full|uri)", re.I)
_ANONYMOUS = re.compile(r"sips?:anonymous@|@anonymous[.]invalid", re.I)

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call that Asterisk refused. `trunk` is named as its endpoint, or REGISTERED."""

    call_id: str
    caller: CallerId
    trunk: str
    status: int
    at: datetime

    def as_call(self) -> FallbackCall:
        """The call as its appeal is backfilled."""
        call = FallbackCall(self.call_id, self.caller, self.at, self.at, self.at)
        call.note(CallEvent.RECEIVED, self.at)
        call.note(CallEvent.REFUSED, self.at, why=WHY[self.status])
        return call


def may_concern(datagram: bytes) -> bool:
    """Whether `RefusedCallFinder.take` may look at the message that is in there."""
    return any(beginning in datagram for beginning in _BEGINNINGS)


class RefusedCallFinder:
    """Finds the refused calls in the SIP messages of an Asterisk, each once.

    Takes what comes, in bounded memory: of a flood the oldest is forgotten.
    """

    def __init__(self, settings: Settings) -> None:
        self._networks = dict(_trunks(settings))
        numbers = {"111", *settings.called_numbers}
        self._called = re.compile(
            "|".join(re.escape(each).replace("X", "[0-9]") for each in sorted(numbers))
        )
        self._invites: OrderedDict[bytes, tuple[str, CallerId]] = OrderedDict()
        self._counted: OrderedDict[str, None] = OrderedDict()

    def take(self, message: CapturedMessage) -> RefusedCall | None:
        """Take a message; returns the call that it refuses, if it refuses one. Never raises.

        What is nobody's call is let go by its first line, before its headers are read.
        """
        if not message.payload.startswith(_BEGINNINGS):
            return None
        text = message.payload[:_MOST_READ].decode(errors="replace")
        if request := _REQUEST.match(text):
            if trunk := self._trunk_of(message, request):
                self._note_invite(trunk, _headers(text))
        elif (response := _RESPONSE.match(text)) and int(response[1]) in WHY:
            return self._refused(int(response[1]), _headers(text), message.at)
        return None

    def _trunk_of(self, message: CapturedMessage, request: re.Match[str]) -> str | None:
        """The trunk by which an INVITE to a number of the line came."""
        if self._called.fullmatch(unquote(request[1])) is None:
            return None
        for network, name in self._networks.items():
            if message.source in network:
                return name
        return REGISTERED if _BY_LINE.search(request[2]) else None

    def _note_invite(self, trunk: str, headers: Headers) -> None:
        key = _transaction_of(headers)
        if key is not None and not _TAG.search(headers.get("to", "")):  # else within a call
            self._invites[key] = trunk, _caller(headers)
            _forget(self._invites, _MOST_INVITES)

    def _refused(self, status: int, headers: Headers, at: datetime) -> RefusedCall | None:
        key = _transaction_of(headers)
        if key is None or key not in self._invites:
            return None
        trunk, caller = self._invites.pop(key)
        call_id = REFUSED_PREFIX + sha256(_sip_id(headers).encode()).hexdigest()[:32]
        if call_id in self._counted or (trunk == REGISTERED and status in _ANSWERED_TO_ALL):
            return None
        self._counted[call_id] = None
        _forget(self._counted, _MOST_COUNTED)
        return RefusedCall(call_id, caller, trunk, status, at)


def _trunks(settings: Settings) -> Iterator[tuple[IPv4Network | IPv6Network, str]]:
    """The networks of operators, and their endpoints (asterisk-conf/pjsip.conf.j2)."""
    for network in settings.operator_networks:
        yield network, "operator"
    for name, operator in settings.operators.items():
        for network in operator.networks:
            yield network, f"operator-{name}"


def _headers(text: str) -> Headers:
    """Its headers by their long names in small letters; those of one name are joined."""
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    headers: dict[str, str] = {}
    for name, value in _HEADER.findall(head):
        lower = name.lower()
        lower = _SHORT_NAMES.get(lower, lower)
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    return headers


def _sip_id(headers: Headers) -> str:
    return headers.get("call-id", "").strip()


def _transaction_of(headers: Headers) -> bytes | None:
    """The key that an INVITE shares with its answers; None for another method."""
    cseq = _INVITE_CSEQ.fullmatch(headers.get("cseq", ""))
    return sha256(f"{cseq[1]} {_sip_id(headers)}".encode()).digest() if cseq else None


def _caller(headers: Headers) -> CallerId:
    """The caller as the dialplan would tell CEL: withheld, or by the number's digits."""
    given = headers.get("from", "")
    identity = headers.get("remote-party-id", "")
    if (
        _PRIVATE.search(headers.get("privacy", ""))
        or _PRIVATE_IDENTITY.search(identity)
        or _ANONYMOUS.search(given)
    ):
        return WITHHELD
    uri = _URI.search(headers.get("p-asserted-identity", "") or identity or given)
    return parse_caller_id(re.sub(r"[^+0-9]", "", unquote(uri[1]))) if uri else WITHHELD


def _forget(mapping: OrderedDict[Any, Any], most: int) -> None:
    while len(mapping) > most:
        mapping.popitem(last=False)
