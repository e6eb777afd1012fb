"""What a consultant's account must look like, and its SIP password (RFC 2617)."""

import hashlib
import secrets
from collections.abc import Sequence

from callcenter.errors import AskedWrongly

LANGUAGES = ("kk", "ru")
REALM = "asterisk"

# 20 characters of 32 letters and digits that are told apart on paper: 100 bits.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_PASSWORD_LENGTH = 20


def check_extension(extension: str) -> str:
    """The extension, if it has 3 to 6 digits; else AskedWrongly."""
    if not (extension.isascii() and extension.isdigit() and 3 <= len(extension) <= 6):
        raise AskedWrongly(f"extension {extension!r} is not possible: it has 3 to 6 digits")
    return extension


def check_name(name: str) -> str:
    """The name without spaces around it, if it is 1 to 100 printable characters."""
    trimmed = name.strip()
    if not (trimmed.isprintable() and 1 <= len(trimmed) <= 100):
        raise AskedWrongly("the name of a consultant has 1 to 100 printable characters")
    return trimmed


def check_languages(languages: Sequence[str]) -> tuple[str, ...]:
    """Each language once, in the order of the line (`kk`, `ru`); else AskedWrongly."""
    unknown = sorted(set(languages) - set(LANGUAGES))
    if unknown or not languages:
        what = f"unknown language {', '.join(map(repr, unknown))}" if unknown else "no language"
        raise AskedWrongly(f"{what}: a consultant speaks kk, ru or both (kk,ru)")
    return tuple(language for language in LANGUAGES if language in languages)


def new_password() -> str:
    """A strong password for a softphone."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH))


def check_password(password: str) -> str:
    """The password, if it has 12 to 100 printable ASCII characters; else AskedWrongly.

    Fewer are guessed from a stolen digest; others are not sent alike by every softphone.
    """
    if not (password.isascii() and password.isprintable() and 12 <= len(password) <= 100):
        raise AskedWrongly("a password of a softphone has 12 to 100 printable ASCII characters")
    return password


def digest_of(extension: str, password: str) -> str:
    """MD5(extension:asterisk:password) in hexadecimal: all that is kept of a password."""
    # RFC 2617 asks for MD5 and softphones know nothing else; hence long generated passwords.
    return hashlib.md5(
        f"{extension}:{REALM}:{password}".encode(), usedforsecurity=False
    ).hexdigest()
