"""Rules of the portal: a form as it was shown, what is written into it, and its receipt."""

import hashlib
import json
import re
import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from uuid import UUID

from callcenter.appeals.rules.number import is_valid
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.portal.receipt_words import KAZAKH, RUSSIAN

TEXT_LIMIT = 20_000  # characters of a message: ten pages
SECRET_LENGTH = 5  # words, a byte each; what guessing them takes is in decision 124

NOTHING_WRITTEN = N_("Write something first, or mark that you are in danger.")
TOO_LONG = N_("This is too long: send a part of it, then the rest as another message.")
RECEIPT_REFUSED = N_(
    "This number and these words do not belong together: check each. If they are lost, write anew, "
    "or call 111."
)

TOO_MANY = N_(
    "So many messages from one page are more than we can read today. Call 111, which is free, or "
    "begin a new page, if it is about something else."
)

_WORDS = {"kk": KAZAKH, "ru": RUSSIAN}
_TOKEN = re.compile(r"[0-9a-f]{32}")
_LETTERS = re.compile(r"[^\W\d_]+")
_SEPARATORS = re.compile(r"[\s.\-–—]+")
#: A Russian keyboard has no Kazakh letters, and nobody writes the dots of Ё.
_KEYBOARD = str.maketrans("ёәғқңөұүһі", "еагкноуухи")


class TooManyMessages(InvalidRequest):
    """A form has sent as many messages as are taken of one in a day."""

    def __init__(self) -> None:
        super().__init__(TOO_MANY)


@dataclass(frozen=True, slots=True)
class PortalMessage:
    """Words of an applicant as they were sent; all of it is personal."""

    language: str
    text: str
    is_urgent: bool


@dataclass(frozen=True, slots=True)
class ReceiptSecret:
    """The secret of a receipt, which the applicant alone has."""

    code: bytes

    def words(self, language: str) -> list[str]:
        """The secret as words of a language."""
        return [_WORDS[language][byte] for byte in self.code]


@dataclass(frozen=True, slots=True)
class PortalForm:
    """One form as it was shown: sent again, in whatever state, it is the same one.

    Its token is random, and in the page alone: the database has hashes of it, from which nobody
    comes to the secret.
    """

    token: str

    @classmethod
    def new(cls) -> "PortalForm":
        """A form that nobody was shown yet."""
        return cls(secrets.token_hex(16))

    @classmethod
    def of(cls, token: str) -> "PortalForm":
        """The form of this token; another form for what no page of ours has sent."""
        return cls(token) if _TOKEN.fullmatch(token) else cls.new()

    @property
    def id(self) -> UUID:
        """The id of the form."""
        return UUID(bytes=self._derive("form")[:16])

    @property
    def secret(self) -> ReceiptSecret:
        """The secret of its receipt."""
        return ReceiptSecret(self._derive("secret")[:SECRET_LENGTH])

    def message_ids(self, message: PortalMessage) -> Iterator[UUID]:
        """The ids of a message that is sent by it: the same for the same words alone.

        The next one is for when that before is over, and the same words are a new matter.
        """
        for time in count():
            said = json.dumps([asdict(message), time])
            yield UUID(bytes=self._derive("message", said)[:16])

    def _derive(self, *purpose: str) -> bytes:
        return hashlib.sha256("\0".join(("portal", *purpose, self.token)).encode()).digest()


def check_message(message: PortalMessage) -> None:
    """Raise InvalidRequest when it cannot be sent: nothing of it is ever cut."""
    if len(message.text) > TEXT_LIMIT:
        raise InvalidRequest(TOO_LONG)
    if not message.text.strip() and not message.is_urgent:
        raise InvalidRequest(NOTHING_WRITTEN)


def read_receipt(number: str, words: str) -> tuple[str, ReceiptSecret]:
    """Number and secret as a person typed them, in either language and case.

    Raises InvalidRequest when nobody can have got such a receipt.
    """
    digits = _SEPARATORS.sub("", number)
    # Some keyboards write й as и and a sign.
    composed = unicodedata.normalize("NFC", words[:500])
    codes = [_CODES.get(_fold(word)) for word in _LETTERS.findall(composed)]
    code = [each for each in codes if each is not None]
    if not is_valid(digits) or len(code) != len(codes) or len(code) != SECRET_LENGTH:
        raise InvalidRequest(RECEIPT_REFUSED)
    return digits, ReceiptSecret(bytes(code))


def read_message_id(typed: str) -> UUID | None:
    """The id of a message as a page of ours has it; None: there is none."""
    try:
        return UUID(typed)
    except ValueError:
        return None


def _fold(word: str) -> str:
    """The word as a keyboard without Kazakh letters writes it, in small letters."""
    return word.casefold().translate(_KEYBOARD)


_CODES = {_fold(word): code for words in _WORDS.values() for code, word in enumerate(words)}
