"""Parses the URL of a mail server into host, port, TLS and login."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

SUBMISSION, SUBMISSIONS = 587, 465  #: ports of RFC 6409 and RFC 8314


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server: `tls` from the first byte, `starttls`, or neither on loopback."""

    host: str
    port: int
    tls: bool
    starttls: bool
    user: str | None
    password: str | None = field(repr=False)


def parse_smtp_url(url: str) -> SmtpServer:
    """`smtp://USER:PASSWORD@HOST:587`, which needs STARTTLS but on loopback, or `smtps://`.

    USER and PASSWORD are percent-encoded, and come together. Raises ValueError, which does not
    repeat the URL: a password is in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ValueError("this is no URL") from exc
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/"):
        raise ValueError("a mail server is named as smtp://USER:PASSWORD@HOST:587, or smtps://...")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("USER and PASSWORD come together, percent-encoded")
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=port or (SUBMISSIONS if tls else SUBMISSION),
        tls=tls,
        starttls=not tls and not is_loopback(parts.hostname),
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def is_loopback(host: str) -> bool:
    """Whether this host is this machine: what is sent there leaves it not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
