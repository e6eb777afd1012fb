"""Scan of words for what may identify somebody; a person clears each finding.

Found are identifiers, telephones, e-mails, addresses and names. What a field of the request says of
somebody may be said in words too; what another field of the record says is found by its value, in
any case and spelling. A name that is in no record and without a capital letter is not found.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from callcenter.appeals.rules.fields import Content, Value
from callcenter.appeals.rules.iin import check_digit
from callcenter.appeals.rules.text_analysis import fold_name, stems
from callcenter.platform.core.caller_id import parse_caller_id


class FindingKind(StrEnum):
    """The kind of a finding; the names are stored."""

    IDENTIFIER = "identifier"  #: ИИН or БИН, with its check digit
    TELEPHONE = "telephone"
    NUMBER = "number"  #: of a document, card or account, or a mistyped one
    EMAIL = "email"
    ADDRESS = "address"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class TextFinding:
    """A piece of text that may identify somebody, as it stands there."""

    kind: FindingKind
    text: str

    @property
    def key(self) -> str:
        """The name by which forms send it."""
        return f"{self.kind.value}:{self.text}"


#: Fields of a person that identify: their values are found in words, and not scanned themselves.
IDENTIFYING = frozenset({"name", "identifier", "address", "phone", "email"})

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
#: Days and times are no numbers of anybody.
_MOMENT = re.compile(
    r"(?<!\d)(?:\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}-\d\d-\d\d|\d{1,2}:\d\d(?::\d\d)?)(?!\d)"
)
_NUMBER = re.compile(r"\+?\d(?:[\s()./-]{0,3}\d){5,}")
_LOCAL = re.compile(r"\d{2,3}-\d{2}-\d{2}")  #: a number within a town
_SHORTEST_NUMBER = 5  # digits beside a day and a time
_LONG = 9  # digits from which a number is somebody's, whatever it is of

_UPPER = "A-ZА-ЯЁӘҒҚҢӨҰҮҺІ"
_LOWER = "a-zа-яёәғқңөұүһі"
_CAPITAL = rf"[{_UPPER}][{_LOWER}]+(?:-[{_UPPER}][{_LOWER}]+)?"
_INITIALS = rf"[{_UPPER}]\.\s?(?:[{_UPPER}]\.)?"
_PATRONYMIC = r"\w{2,}(?:вич|вна|ична|ұлы|қызы|улы|кызы)\w{0,3}"
#: Surname and initials, a patronymic, or words with a capital that begin no sentence.
_NAMES = (
    re.compile(rf"\b{_CAPITAL}\s{_INITIALS}"),
    re.compile(rf"\b{_INITIALS}\s?{_CAPITAL}"),
    re.compile(rf"\b(?:\w+\s)?(?:\w+\s)?{_PATRONYMIC}\b", re.IGNORECASE),
    re.compile(rf"\b{_CAPITAL}(?:\s{_CAPITAL})+"),
    re.compile(rf"\b[{_UPPER}]{{3,}}(?:\s[{_UPPER}]{{3,}})+\b"),
    re.compile(rf"(?<=[{_LOWER}\d,;:»)\"-]\s){_CAPITAL}"),
)

_STREET = (
    r"(?:ул|улиц\w*|пр|пр-т|проспект\w*|мкр|микрорайон\w*|пер|переул\w*|бульвар\w*|шоссе"
    r"|көш|көше\w*|даңғыл\w*|ықшамаудан\w*|тұйы\w*)"
)
_HOUSE = r"(?:д|дом\w{0,2}|кв|квартир\w*|үй\w*|пәтер\w*|корпус\w*)"
_ADDRESSES = (
    re.compile(rf"\b{_STREET}\b\.?[^\n.;]{{0,40}}?\d+\w?", re.IGNORECASE),
    re.compile(rf"(?<![\w-])[\w-]+\s{_STREET}\b[^\n.;\d]{{0,20}}\d+\w?", re.IGNORECASE),
    re.compile(rf"\b{_HOUSE}\b\.?\s?№?\s?\d+\w?", re.IGNORECASE),
    re.compile(r"\b\d+\w?\s?-?\s?(?:үй|пәтер|кв)\w*", re.IGNORECASE),
)
_OF_ADDRESSES = re.compile(rf"{_STREET}|{_HOUSE}", re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")
_ENDS = ("", ".", "!", "?", "\n")  #: of a sentence
_SHORTEST_NAME = 3  # letters
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")


def scan_text(
    text: str, record: Content, chosen: Collection[str], public: Collection[str] = ()
) -> list[TextFinding]:
    """Findings in a text, each once, in their order.

    `record` is the content of the record, `chosen` the keys of it that the request has; `public`
    are names of places and bodies, which are nobody's.
    """
    plain = _plain(text)
    spans = {
        *_emails(plain),
        *_numbers(plain),
        *_addresses(plain, record, chosen),
        *_names(plain, record, chosen, public),
    }
    numbers = _digits_of(record, chosen)
    values = [_folded(value) for key in chosen for value in _values(record.get(key, ""))]

    def is_in_field(finding: TextFinding) -> bool:
        if finding.kind in (FindingKind.ADDRESS, FindingKind.EMAIL):
            return any(_folded(finding.text) in value for value in values)
        return finding.kind is not FindingKind.NAME and _last_digits(finding.text) in numbers

    found = (TextFinding(each.kind, plain[each.start : each.end].strip()) for each in _whole(spans))
    return [each for each in dict.fromkeys(found) if not is_in_field(each)]


class _Span(NamedTuple):
    """Where a finding stands in the text."""

    start: int
    end: int
    kind: FindingKind


def _whole(spans: Iterable[_Span]) -> Iterator[_Span]:
    """The spans that are no part of another one of their kind, in order."""
    ends: dict[FindingKind, int] = {}
    for each in sorted(spans, key=lambda span: (span.start, -span.end)):
        if each.end > ends.get(each.kind, 0):
            ends[each.kind] = each.end
            yield each


def _span(match: re.Match[str], kind: FindingKind) -> _Span:
    return _Span(*match.span(), kind)


def _plain(text: str) -> str:
    """The text as people read it: without what nobody sees, with one kind of dash and space."""
    shown = "".join(
        letter
        for letter in unicodedata.normalize("NFKC", text)
        if unicodedata.category(letter) != "Cf"
    )
    return re.sub(r"[^\S\n]", " ", shown.translate(_DASHES))


def _emails(text: str) -> Iterator[_Span]:
    for each in _EMAIL.finditer(text):
        yield _span(each, FindingKind.EMAIL)


def _numbers(text: str) -> Iterator[_Span]:
    for match in _NUMBER.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        rest = re.sub(r"\D", "", _MOMENT.sub(" ", match[0]))
        parts = [re.sub(r"\D", "", part) for part in match[0].split()]
        if any(map(_is_identifier, (digits, *parts))):
            yield _span(match, FindingKind.IDENTIFIER)
        elif len(rest) < _SHORTEST_NUMBER:
            continue
        elif _LOCAL.fullmatch(match[0]) or (
            len(digits) >= _LONG and parse_caller_id(match[0]).kind == "number"
        ):
            yield _span(match, FindingKind.TELEPHONE)
        elif len(digits) >= _LONG:
            yield _span(match, FindingKind.NUMBER)


def _is_identifier(digits: str) -> bool:
    return len(digits) == 12 and check_digit(digits[:11]) == int(digits[11])


def _addresses(text: str, record: Content, chosen: Collection[str]) -> Iterator[_Span]:
    for pattern in _ADDRESSES:
        for match in pattern.finditer(text):
            yield _span(match, FindingKind.ADDRESS)
    # "Абая 12" of an address that the request does not have, without the word for a street.
    others = {
        pair
        for key, value in record.items()
        if key not in chosen and (key == "place" or key.endswith(".address"))
        for each in _values(value)
        for pair, _ in _pairs(each)
    }
    for pair, span in _pairs(text):
        if pair in others:
            yield span


def _pairs(text: str) -> Iterator[tuple[tuple[str, str], _Span]]:
    """A word of a text and the number after it: a street and a house, whatever is in between."""
    word: re.Match[str] | None = None
    for each in _WORD.finditer(text):
        if each[0][0].isdigit():
            if word is not None:
                pair = fold_name(stems(word[0].lower())[0]), each[0].lower()
                yield pair, _Span(word.start(), each.end(), FindingKind.ADDRESS)
        elif not _OF_ADDRESSES.fullmatch(each[0]):
            word = each


def _names(
    text: str, record: Content, chosen: Collection[str], public: Collection[str]
) -> Iterator[_Span]:
    of_request, of_others = set[str](), set[str]()
    for key, value in record.items():
        if key.endswith(".name"):
            words = [word.lower() for each in _values(value) for word in _WORD.findall(each)]
            (of_request if key in chosen else of_others).update(words)
    hidden = _all_spellings(word for word in of_others if len(word) >= _SHORTEST_NAME)
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if word not in of_request and not hidden.isdisjoint(_spellings(word)):
            yield _span(match, FindingKind.NAME)
    nobodys = (word.lower() for name in public for word in _WORD.findall(name))
    open_names = _all_spellings((*of_request, *nobodys))
    for pattern in _NAMES:
        for match in pattern.finditer(text):
            words = [each.lower() for each in _WORD.findall(match[0])]
            # The first word of a sentence has a capital letter too.
            before = text[max(0, match.start() - 5) : match.start()].rstrip(" ")
            if len(words) > 1 and before[-1:] in _ENDS:
                words = words[1:]
            if any(
                len(word) >= _SHORTEST_NAME and open_names.isdisjoint(_spellings(word))
                for word in words
            ):
                yield _span(match, FindingKind.NAME)


def _all_spellings(words: Iterable[str]) -> set[str]:
    return {spelling for word in words for spelling in _spellings(word)}


def _spellings(word: str) -> set[str]:
    """The forms of a word that people take for the same name."""
    return {fold_name(each) for each in (word, *stems(word))}


def _digits_of(record: Content, chosen: Collection[str]) -> set[str]:
    """The digits of numbers that the request has in its fields, as `_last_digits` has them."""
    return {
        digits
        for key in chosen
        if key.endswith((".phone", ".identifier"))
        for value in _values(record.get(key, ""))
        for each in (value, *_NUMBER.findall(value))
        if (digits := _last_digits(each))
    }


def _last_digits(text: str) -> str:
    """The digits of a number without the prefix of the country; empty for a short one."""
    digits = re.sub(r"\D", "", text)
    return digits[-10:] if len(digits) in (10, 11) else digits if len(digits) >= _LONG else ""


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def _values(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else value
