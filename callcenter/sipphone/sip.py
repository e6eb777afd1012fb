"""SIP messages (RFC 3261) and digest authentication (RFC 2617, MD5). No I/O.

The parser is strict about what a telephone needs (start line, Via, From, To, Call-ID, CSeq) and
tolerant about the rest. Whatever bytes come from outside, it raises nothing but `BadMessage`.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from callcenter.platform.core.errors import InvalidRequest

Place = tuple[str, int]  #: IP address and port
Headers = tuple[tuple[str, str], ...]
Content = tuple[str, bytes]  #: content type and body

_FULL_NAMES = {
    "i": "Call-ID",
    "m": "Contact",
    "c": "Content-Type",
    "l": "Content-Length",
    "f": "From",
    "t": "To",
    "v": "Via",
    "k": "Supported",
    "s": "Subject",
}
_NEEDED = ("Via", "From", "To", "Call-ID", "CSeq")
_REQUEST = re.compile(r"([A-Za-z]{1,32}) (\S{1,1000}) SIP/2\.0")
_STATUS = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?")
_CSEQ = re.compile(r"(\d{1,10})\s+([A-Za-z]{1,32})")
_URI = re.compile(
    r"sips?:(?:(?P<user>[^@>\s]*)@)?(?P<host>\[[^\]]+\]|[^:;?>\s]+)(?::(?P<port>\d+))?"
)


REASONS = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    503: "Service Unavailable",
    603: "Decline",
}


class BadMessage(InvalidRequest):
    """This is not a SIP message."""


@dataclass(frozen=True)
class SipMessage:
    """The common part of requests and responses. Header names ignore case."""

    headers: Headers = field(kw_only=True)
    body: bytes = field(default=b"", kw_only=True)

    def first(self, name: str) -> str | None:
        """The value of the first header of this name."""
        lowered = name.lower()
        return next((value for key, value in self.headers if key.lower() == lowered), None)

    def need(self, name: str) -> str:
        """The same, but raises BadMessage when there is none."""
        value = self.first(name)
        if value is None:
            raise BadMessage(f"a SIP message came without {name}")
        return value

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a header that may be a list (Via, Route, Record-Route, Contact)."""
        lowered = name.lower()
        values = (value for key, value in self.headers if key.lower() == lowered)
        return tuple(part for value in values for part in split_list(value))

    @property
    def call_id(self) -> str:
        return self.need("Call-ID")

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq."""
        found = _CSEQ.fullmatch(self.need("CSeq"))
        if found is None:
            raise BadMessage("a SIP message came with an unreadable CSeq")
        return int(found[1]), found[2].upper()

    @property
    def branch(self) -> str:
        """The branch of the topmost Via: which transaction this belongs to."""
        return parameters(self.every("Via")[0]).get("branch", "")


@dataclass(frozen=True)
class Request(SipMessage):
    method: str
    uri: str

    def render(self) -> bytes:
        return _render(f"{self.method} {self.uri} SIP/2.0", self)


@dataclass(frozen=True)
class Response(SipMessage):
    status: int
    reason: str

    def render(self) -> bytes:
        return _render(f"SIP/2.0 {self.status} {self.reason}", self)


def _render(start: str, message: SipMessage) -> bytes:
    lines = [start]
    for name, value in (*message.headers, ("Content-Length", str(len(message.body)))):
        if any(sign in name + value for sign in "\r\n\0"):
            raise InvalidRequest(f"the SIP header {name!r} must not contain a line break")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode() + message.body


def parse(datagram: bytes) -> Request | Response:
    """The message in one UDP datagram. Raises BadMessage, and nothing else."""
    head, gap, body = datagram.partition(b"\r\n\r\n")
    if not gap:
        raise BadMessage("a SIP message came without an end of its headers")
    # Names in Latin-1 or worse do come from networks; they are no reason to refuse a call.
    start, *lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
    headers = tuple(_header(line) for line in lines)
    message = _start(start, headers)
    for name in _NEEDED:
        message.need(name)
    if not message.every("Via"):
        raise BadMessage("a SIP message came with an empty Via")
    number_and_method = message.cseq
    if isinstance(message, Request) and number_and_method[1] != message.method:
        raise BadMessage("a SIP request came with another method in its CSeq")
    return replace(message, body=_body(message, body))


def _start(line: str, headers: Headers) -> Request | Response:
    if status := _STATUS.fullmatch(line):
        return Response(int(status[1]), status[2] or "", headers=headers)
    if request := _REQUEST.fullmatch(line):
        return Request(request[1].upper(), request[2], headers=headers)
    raise BadMessage("a SIP message came with an unreadable first line")


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.strip()
    if not colon or not name:
        raise BadMessage("a SIP message came with a header without a colon")
    return _FULL_NAMES.get(name.lower(), name), value.strip()


def _body(message: SipMessage, body: bytes) -> bytes:
    length = message.first("Content-Length")
    if length is None:
        return body
    # isdecimal alone lets through digits of other scripts, and int() refuses thousands of digits
    if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > len(body):
        raise BadMessage("a SIP message came with a wrong Content-Length")
    return body[: int(length)]


def split_list(value: str) -> list[str]:
    """Splits a header at the commas that stand outside of quotes and angle brackets."""
    parts, start, quoted, angled = [], 0, False, False
    for at, sign in enumerate(value):
        if sign == '"' and (at == 0 or value[at - 1] != "\\"):
            quoted = not quoted
        elif not quoted and sign in "<>":
            angled = sign == "<"
        elif sign == "," and not quoted and not angled:
            parts.append(value[start:at])
            start = at + 1
    return [part.strip() for part in (*parts, value[start:]) if part.strip()]


def parameters(value: str) -> dict[str, str]:
    """The `;name=value` parameters after the address of a header; names in lower case."""
    _, _, tail = value.rpartition(">") if ">" in value else ("", "", value)
    found = {}
    for part in tail.split(";")[1:]:
        name, _, content = part.partition("=")
        found[name.strip().lower()] = content.strip().strip('"')
    return found


def uri_of(address: str) -> str:
    """The URI within an address header: `"Name" <sip:a@b>;tag=1` gives `sip:a@b`."""
    inside = re.search(r"<([^>]*)>", re.sub(r'"(?:\\.|[^"\\])*"', "", address))
    return inside[1] if inside else address.split(";")[0].strip()


def user_of(address: str) -> str:
    """The user part of an address header; empty if there is none."""
    found = _URI.match(uri_of(address))
    return (found["user"] or "") if found else ""


def place_of(uri: str) -> Place | None:
    """The host and port of a URI, port 5060 if none is named; None if unreadable."""
    found = _URI.match(uri)
    if found is None:
        return None
    port = found["port"] or "5060"
    if len(port) > 5 or not 0 < int(port) < 65536:
        return None
    return found["host"].strip("[]"), int(port)


def host_port(place: Place) -> str:
    """An address and its port as they stand in a URI or Via (RFC 3986: IPv6 in brackets)."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def quoted(text: str) -> str:
    """A quoted-string: safe for any text without line breaks."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def token() -> str:
    """A fresh random word for tags, branches and call ids."""
    return secrets.token_hex(8)


def respond(
    request: Request,
    status: int,
    *,
    tag: str | None = None,
    headers: Headers = (),
    body: bytes = b"",
) -> Response:
    """The response to a request; `tag` is put into To unless one is there already."""
    to = request.need("To")
    if tag is not None and "tag" not in parameters(to):
        to = f"{to};tag={tag}"
    copied = [("Via", via) for via in request.every("Via")]
    copied += [("Record-Route", route) for route in request.every("Record-Route")]
    copied += [("From", request.need("From")), ("To", to)]
    copied += [("Call-ID", request.call_id), ("CSeq", request.need("CSeq"))]
    return Response(status, REASONS.get(status, "Refused"), headers=(*copied, *headers), body=body)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The digest challenge of a 401 or 407."""

    realm: str
    nonce: str
    qop: bool
    opaque: str | None
    stale: bool
    answer_header: str


_PAIR = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s,"]+))')


def challenge_of(response: Response) -> Challenge | None:
    """The first MD5 challenge of a 401 or 407; None if there is none that we can answer."""
    names = {
        401: ("WWW-Authenticate", "Authorization"),
        407: ("Proxy-Authenticate", "Proxy-Authorization"),
    }
    if response.status not in names:
        return None
    challenge_header, answer_header = names[response.status]
    for name, value in response.headers:
        scheme, _, rest = value.partition(" ")
        if name.lower() != challenge_header.lower() or scheme.lower() != "digest":
            continue
        fields = {key.lower(): text or plain for key, text, plain in _PAIR.findall(rest)}
        if fields.get("algorithm", "MD5").upper() == "MD5" and {"realm", "nonce"} <= fields.keys():
            return Challenge(
                realm=fields["realm"],
                nonce=fields["nonce"],
                qop="auth" in fields.get("qop", "").replace(" ", "").split(","),
                opaque=fields.get("opaque"),
                stale=fields.get("stale", "").lower() == "true",
                answer_header=answer_header,
            )
    return None


def answer_challenge(
    challenge: Challenge,
    *,
    user: str,
    password: str,
    method: str,
    uri: str,
    cnonce: Callable[[], str] = token,
) -> tuple[str, str]:
    """The header that answers a challenge, to be put into the repeated request."""
    secret = _md5(f"{user}:{challenge.realm}:{password}")
    request = _md5(f"{method}:{uri}")
    fields = [
        f"username={quoted(user)}",
        f"realm={quoted(challenge.realm)}",
        f"nonce={quoted(challenge.nonce)}",
        f"uri={quoted(uri)}",
        "algorithm=MD5",
    ]
    if challenge.qop:
        ours = cnonce()
        answer = _md5(f"{secret}:{challenge.nonce}:00000001:{ours}:auth:{request}")
        fields += [f"cnonce={quoted(ours)}", "nc=00000001", "qop=auth"]
    else:
        answer = _md5(f"{secret}:{challenge.nonce}:{request}")
    if challenge.opaque is not None:
        fields.append(f"opaque={quoted(challenge.opaque)}")
    return challenge.answer_header, "Digest " + ", ".join([*fields, f'response="{answer}"'])


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
