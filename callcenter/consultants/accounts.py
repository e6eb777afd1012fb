"""Validation of a consultant's account, and its SIP password (RFC 2617)."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.short_numbers import OURSELVES, SHORT_NUMBERS, is_called_number

REALM = "asterisk"

# 20 characters of 32 letters and digits that cannot be confused on paper: 100 bits.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_PASSWORD_LENGTH = 20


def check_extension(extension: str) -> str:
    """The extension. Raises InvalidRequest unless it has 3 to 6 digits."""
    if not (extension.isascii() and extension.isdigit() and 3 <= len(extension) <= 6):
        raise InvalidRequest(f"extension {extension!r} is not possible: it has 3 to 6 digits")
    return extension


def check_free_of_services(extension: str, called: Iterable[str]) -> str:
    """The extension. Raises InvalidRequest for a service's number, and for the line's own.

    `called` are the numbers besides 111 by which the line is called itself, X for any digit.
    """
    if extension in SHORT_NUMBERS:
        raise InvalidRequest(
            f"{extension} is the number of a service, which consultants call: choose another "
            "extension, as 201"
        )
    if is_called_number(extension, (OURSELVES, *called)):
        raise InvalidRequest(
            f"{extension} is the line's own number, which people call: choose another extension, "
            "as 201"
        )
    return extension


def check_name(name: str) -> str:
    """The name, trimmed. Raises InvalidRequest unless it has 1 to 100 printable characters."""
    trimmed = name.strip()
    if not (trimmed.isprintable() and 1 <= len(trimmed) <= 100):
        raise InvalidRequest("the name of a consultant has 1 to 100 printable characters")
    return trimmed


def check_languages(languages: Sequence[str]) -> tuple[str, ...]:
    """Each language once, in the order kk, ru. Raises InvalidRequest for others, or none."""
    unknown = sorted(set(languages) - set(CALLER_LANGUAGES))
    if unknown or not languages:
        what = f"unknown language {', '.join(map(repr, unknown))}" if unknown else "no language"
        raise InvalidRequest(f"{what}: a consultant speaks kk, ru or both (kk,ru)")
    return tuple(language for language in CALLER_LANGUAGES if language in languages)


def new_password() -> str:
    """Generate a strong password for a softphone."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH))


def check_password(password: str) -> str:
    """The password. Raises InvalidRequest unless it has 12 to 100 printable ASCII characters.

    A shorter one can be guessed from a stolen digest; softphones encode other characters
    differently.
    """
    if not (password.isascii() and password.isprintable() and 12 <= len(password) <= 100):
        raise InvalidRequest("a password of a softphone has 12 to 100 printable ASCII characters")
    return password


def softphone_server(settings: Settings, host: str) -> str:
    """Address, port and transport that a softphone is set up with.

    `host` is the name of this machine, for where SIP is heard on all its addresses.
    """
    address = settings.sip_address
    server = host if address == IPv4Address(0) else str(address)
    if settings.sip_certificate is None:
        return f"{server}:{settings.sip_port}, UDP"
    return f"{server}:{settings.sip_tls_port}, TLS, SRTP (SDES)"


def digest_of(extension: str, password: str) -> str:
    """MD5(extension:asterisk:password) in hexadecimal: all that is stored of a password."""
    # RFC 2617 asks for MD5 and softphones know nothing else; hence long generated passwords.
    return hashlib.md5(
        f"{extension}:{REALM}:{password}".encode(), usedforsecurity=False
    ).hexdigest()
