"""Caller ID: normalisation of the network's number (E.164), and its mask."""

import re
from dataclasses import dataclass
from typing import Literal

import phonenumbers

# What networks and switches put where a number should be, when the caller's is not given.
_WITHHELD = re.compile(
    r"anonymous|blocked|hidden|nonumber|private|restricted|unavailable|unknown|withheld", re.I
)
_LONGEST = 64
_PUNCTUATION = re.compile(r"[\s()./-]+")
_DIGITS = re.compile(r"\+?[0-9]+")
_SHORT = re.compile(r"[0-9]{2,5}")
# Kazakhstan's share of the zone +7: 0xx, 6xx and 7xx, and the toll-free 800 it has in common with
# Russia. By rule and not by the tables of `phonenumbers`, which count 8-800 as Russian and would
# lose the callers of a range that is younger than the installed tables. Ten bare digits are
# Kazakh only in the ranges in use: 6591234567 is rather a caller from Singapore.
_KAZAKH = re.compile(r"(?:(?:\+?7|8)(?=[067]|800)|(?=7|800))([0-9]{10})")
_INTERNATIONAL = re.compile(r"\+|00|810")
_E164_KAZAKH = re.compile(r"\+7[067][0-9]{9}|\+7800[0-9]{7}")
_E164 = re.compile(r"\+[0-9]{7,15}")


@dataclass(frozen=True)
class CallerId:
    """The caller's number.

    `number` is E.164 for "number", 2-5 digits for "short", else None.
    """

    kind: Literal["number", "short", "withheld", "unreadable"]
    number: str | None


WITHHELD = CallerId("withheld", None)
UNREADABLE = CallerId("unreadable", None)


def parse_caller_id(raw: str | None) -> CallerId:
    """Normalise the number of the network for the appeal (R12).

    Takes a bare number or a SIP or tel URI. Kazakh numbers are read with +7, 8, 7 or as ten
    digits; foreign ones with +, 00, 8-10 or, when nothing else fits, with the bare country code.
    Never raises, whatever the text; its own `number` is read as the same caller again.
    """
    text = _user_part(raw or "")
    if not text or _WITHHELD.fullmatch(text):
        return WITHHELD
    if len(text) > _LONGEST or _DIGITS.fullmatch(text) is None:
        return UNREADABLE
    if _SHORT.fullmatch(text):
        return CallerId("short", text)
    if kazakh := _KAZAKH.fullmatch(text):
        return CallerId("number", f"+7{kazakh[1]}")
    return _foreign(text)


def mask(number: str) -> str:
    """A number masked for logs and pages: enough to recognise, not enough to dial.

    +77012345667 becomes "+7 701 *** ** 67"; short numbers are nobody's own and stay as they are;
    any other text becomes "***". Never raises.
    """
    if _SHORT.fullmatch(number):
        return number
    if _E164_KAZAKH.fullmatch(number):
        return f"+7 {number[2:5]} *** ** {number[-2:]}"
    if _E164.fullmatch(number):
        return f"{number[:3]} {'*' * (len(number) - 5)} {number[-2:]}"
    return "***"


def _user_part(raw: str) -> str:
    """The user part of `sip:+7701...@host;user=phone` or `+7 (701) ...`."""
    text = raw.strip().strip("<>\"'")
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() in ("sip", "sips", "tel"):
        text = rest
    return _PUNCTUATION.sub("", re.split("[;@]", text, maxsplit=1)[0])


def _foreign(text: str) -> CallerId:
    prefix = _INTERNATIONAL.match(text)
    candidates = [f"+{text[prefix.end() :]}"] if prefix else [text, f"+{text}"]
    for candidate in candidates:
        try:
            number = phonenumbers.parse(candidate, "KZ")
        except phonenumbers.NumberParseException:
            continue
        # With a prefix the caller's country is certain, so the length alone is checked: tables of
        # foreign ranges age. Without one the country is a guess that the tables must confirm.
        fits = phonenumbers.is_possible_number if prefix else phonenumbers.is_valid_number
        if fits(number):
            return CallerId(
                "number", phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            )
    return UNREADABLE
