"""Scan of words for what may identify somebody; a person clears each finding.

Found are identifiers, telephones, numbers of documents, e-mails, addresses and names. What a chosen
name, telephone, e-mail or address says may be said in words too; what another one of the record
says is found by its value, in any case and spelling. A sentence begins with a capital letter
anyhow: a name is found there by its look, and elsewhere by the letter. A name that is in no record
and without a capital letter is not found.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from callcenter.appeals.rules.fields import Content
from callcenter.appeals.rules.iin import check_digit
from callcenter.appeals.rules.text_analysis import fold_name, stems
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.requests.rules.name_words import (
    has_surname_ending,
    is_name,
    is_no_name,
    name_spellings,
)


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


_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
#: Days and times are no numbers of anybody.
_MOMENT = re.compile(
    r"(?<!\d)(?:\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}-\d\d-\d\d|\d{1,2}:\d\d(?::\d\d)?)(?!\d)"
)
_NUMBER = re.compile(r"\+?\d(?:[\s()./-]{0,3}\d){5,}")
#: With commas in it: without one it is found as a number.
_TELEPHONE = re.compile(r"(?<!\d)(?:\+?7|8)[\s(),./-]{0,3}7(?:[\s(),./-]{0,3}\d){9}(?!\d)")
#: A number within a town; sums have other groups.
_LOCAL = re.compile(r"(?<![\d-])(?:\d{3}([\s-])\d\d\1\d\d|\d\d-\d\d-\d\d)(?![\d-])")
#: Of a passport or a case, by its letters; "№" is read as "No".
_DOCUMENT = re.compile(r"(?<!\w)(?:[A-Za-z]{1,3}|[А-Я]{1,3}|No?\.?\s)\d{6,8}(?!\d)")
_SHORTEST_NUMBER = 5  # digits beside a day and a time
_LONG = 9  # digits from which a number is somebody's, whatever it is of

_UPPER = "A-ZА-ЯЁӘҒҚҢӨҰҮҺІ"
_LOWER = "a-zа-яёәғқңөұүһі"
_INITIALS = rf"[{_UPPER}]\.\s?(?:[{_UPPER}]\.)?"
#: Surname and initials.
_WITH_INITIALS = (
    re.compile(rf"\b[{_UPPER}][{_LOWER}]+(?:-[{_UPPER}][{_LOWER}]+)?\s?{_INITIALS}"),
    re.compile(rf"\b[{_UPPER}]{{3,}}\s{_INITIALS}"),
    re.compile(rf"\b{_INITIALS}\s?[{_UPPER}][{_UPPER}{_LOWER}]+"),
)
#: Written small too, with the words before it.
_PATRONYMIC = re.compile(
    r"\b(?:\w+ ){0,2}"
    r"(\w{2,}(?:[ое]вич(?:а|у|ем|е)?|[ое]вна|инична|(?:ұлы|қызы|кызы)\w{0,4}))\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
#: What stands before the first word of a sentence; direct speech and items of a list begin one.
_BEFORE_SENTENCE = re.compile(
    r"""(?:^|(?<!\bгр)(?<!\bтов)\.|[!?\n]|:\s?(?=["«“„])|(?:^|\n)\s*\d{1,2}\))[\s"«“„'(\[*•-]*$"""
)
_BETWEEN_NAMES = re.compile(r"[.,:;!?()/\n]")
_WHOLE = 5  # letters of a word that no other one begins with
_BEFORE = 30  # characters that are looked at before a word
_STREET = (
    r"(?:ул|улиц\w*|пр|пр-т|проспект\w*|мкр|микрорайон\w*|пер|переул\w*|бульвар\w*|шоссе"
    r"|көш|көше\w*|даңғыл\w*|ықшамаудан\w*|тұйы\w*)"
)
_HOUSE = r"(?:д|дом\w{0,2}|кв|квартир\w*|үй\w*|пәтер\w*|корпус\w*)"
_ADDRESSES = (
    re.compile(rf"\b{_STREET}\b\.?[^\n.;]{{0,40}}?\d+\w?", re.IGNORECASE),
    re.compile(rf"(?<![\w-])[\w-]+\s{_STREET}\b[^\n.;\d]{{0,20}}\d+\w?", re.IGNORECASE),
    re.compile(rf"\b{_HOUSE}\b\.?\s?(?:No)?\.?\s?\d+\w?", re.IGNORECASE),
    re.compile(r"\b\d+\w?\s?-?\s?(?:үй|пәтер|кв)\w*", re.IGNORECASE),
)
_OF_ADDRESSES = re.compile(rf"{_STREET}|{_HOUSE}", re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")
#: What is added to a name or an address, and is text: "Сапарова Айгүл (муж Серик)".
_ADDED_TO_NAME, _ADDED_TO_ADDRESS = re.compile(r"[,;(/\n]"), re.compile(r"[;(\n]")
_ADDRESSES_OF = (".place", ".address")
_SHORTEST_NAME = 3  # letters
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")


def scan_text(
    text: str, record: Content, chosen: Collection[str], public: Collection[str] = ()
) -> list[TextFinding]:
    """Findings in a text, each once, in their order.

    `record` is the content of the record, `chosen` the keys of it that the request has; `public`
    are names of places and bodies, which are nobody's where they stand whole.
    """
    plain = _plain(text)
    spans = {
        *_emails(plain),
        *_numbers(plain),
        *_addresses(plain, record, chosen),
        *_names(plain, record, chosen, public),
    }
    chosen_values = _ChosenValues.of(record, chosen)
    found = (
        TextFinding(each.kind, " ".join(plain[each.start : each.end].split()))
        for each in _whole(spans)
    )
    return [each for each in dict.fromkeys(found) if not chosen_values.has(each)]


@dataclass(frozen=True, slots=True)
class _ChosenValues:
    """The numbers, e-mails and words of addresses that the chosen fields say."""

    numbers: Collection[str]
    emails: Collection[str]
    addresses: Collection[list[str]]

    @classmethod
    def of(cls, record: Content, chosen: Collection[str]) -> "_ChosenValues":
        numbers = _said(record, chosen, (".phone", ".identifier"))
        emails = map(_plain, _said(record, chosen, ".email"))
        return cls(
            {
                _own_digits(each)
                for value in numbers
                for each in (value, *_NUMBER.findall(_plain(value)))
            },
            {each.lower() for value in emails for each in _EMAIL.findall(value)},
            [_tokens(value) for value in _said(record, chosen, _ADDRESSES_OF)],
        )

    def has(self, finding: TextFinding) -> bool:
        match finding.kind:
            case FindingKind.NAME:
                return False
            case FindingKind.EMAIL:
                return finding.text.lower() in self.emails
            case FindingKind.ADDRESS:
                words = _tokens(finding.text)
                return any(
                    words == address[at : at + len(words)]
                    for address in self.addresses
                    for at in range(len(address))
                )
            case _:
                return _own_digits(finding.text) in self.numbers


class _Span(NamedTuple):
    """Where a finding stands in the text."""

    start: int
    end: int
    kind: FindingKind


def _whole(spans: Iterable[_Span]) -> Iterator[_Span]:
    """The spans that are no part of another one of their kind, in order.

    Nor is the name in an address or e-mail a name of its own.
    """
    ends = dict.fromkeys(FindingKind, 0)
    for each in sorted(spans, key=lambda span: (span.start, -span.end, span.kind == "name")):
        of_name = (FindingKind.ADDRESS, FindingKind.EMAIL) if each.kind == "name" else ()
        if each.end > max(ends[kind] for kind in (each.kind, *of_name)):
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
        elif len(digits) >= _LONG:
            is_telephone = parse_caller_id(match[0]).kind == "number"
            yield _span(match, FindingKind.TELEPHONE if is_telephone else FindingKind.NUMBER)
        elif _LOCAL.search(match[0]):
            yield _span(match, FindingKind.TELEPHONE)
    for match in _TELEPHONE.finditer(text):
        if "," in match[0]:
            yield _span(match, FindingKind.TELEPHONE)
    for match in _DOCUMENT.finditer(text):
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
        for each in _said(record, record.keys() - set(chosen), _ADDRESSES_OF)
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
    own = _words_of(_ADDED_TO_NAME.split(each)[0] for each in _said(record, chosen, ".name"))
    others = _words_of(_said(record, record.keys() - set(chosen), ".name"))
    places = (_ADDED_TO_ADDRESS.split(each)[0] for each in _said(record, chosen, ".address"))
    yield from _names_of_others(text, own, others)
    yield from _names_by_look(
        text, _all_spellings(own | _words_of(places)), _public_words(text, public)
    )


def _names_of_others(text: str, own: set[str], others: set[str]) -> Iterator[_Span]:
    """Words of names that the record has and the request has not, however they are written."""
    hidden = _all_spellings(word for word in others if len(word) >= _SHORTEST_NAME)
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if word not in own and not hidden.isdisjoint(name_spellings(word)):
            yield _span(match, FindingKind.NAME)


def _public_words(text: str, public: Collection[str]) -> set[int]:
    """Where the words of public names begin in a text that has such a name whole.

    A part of it may be somebody's: districts are named after people.
    """
    names: dict[str, list[list[str]]] = {}
    for name in public:
        phrase = _LETTERS.findall(name.lower())
        for spelling in name_spellings(phrase[0]) if phrase else ():  # "112" has no words
            names.setdefault(spelling, []).append(phrase)
    words = list(_LETTERS.finditer(text))
    said = [each[0].lower() for each in words]
    found: set[int] = set()
    for at, word in enumerate(said):
        for phrase in chain.from_iterable(names.get(each, ()) for each in name_spellings(word)):
            here = slice(at, at + len(phrase))
            starts = [each.start() for each in words[here]]
            if (
                len(starts) == len(phrase)
                and all(map(_is_form, said[here], phrase))
                and not _BETWEEN_NAMES.search(text, starts[0], starts[-1])
            ):
                found.update(starts)
    return found


def _is_form(word: str, of: str) -> bool:
    """Whether a word is a form of another one; Kazakh adds endings, and so do surnames."""
    if has_surname_ending(word) and not has_surname_ending(of):  # Алматов is no form of Алматы
        return False
    spellings, wholes = name_spellings(word), name_spellings(of)
    return not spellings.isdisjoint(wholes) or any(
        each.startswith(whole) for whole in wholes if len(whole) >= _WHOLE for each in spellings
    )


def _names_by_look(text: str, open_names: set[str], public: set[int]) -> Iterator[_Span]:
    """Words that are written as names are, but for `open_names` as they are spelt.

    Nor those that begin at `public` places.
    """

    def is_nobodys(word: str, start: int) -> bool:
        said = word.lower()
        return (
            len(said) < _SHORTEST_NAME
            or is_no_name(said)
            or start in public
            or not open_names.isdisjoint(name_spellings(said))
        )

    for pattern in _WITH_INITIALS:
        for match in pattern.finditer(text):
            words = _WORD.finditer(text, *match.span())
            if not all(is_nobodys(each[0], each.start()) for each in words):
                yield _span(match, FindingKind.NAME)
    for match in _PATRONYMIC.finditer(text):
        if not is_nobodys(match[1], match.start(1)):
            yield _span(match, FindingKind.NAME)
    for run in _capitals(text):
        first, last = run[0], run[-1]
        begins = _BEFORE_SENTENCE.search(text, max(0, first.start() - _BEFORE), first.start())
        if any(
            is_name(each[0], begins_sentence=each is first and begins is not None)
            for each in run
            if not is_nobodys(each[0], each.start())
        ):
            yield _Span(first.start(), last.end(), FindingKind.NAME)


def _capitals(text: str) -> Iterator[list[re.Match[str]]]:
    """Words with a capital letter, or in capitals, that follow each other."""
    run: list[re.Match[str]] = []
    for match in _LETTERS.finditer(text):
        word = match[0]
        if not (word.isupper() or word.istitle() or (word[0].isupper() and word[1:].islower())):
            continue
        if run and text[run[-1].end() : match.start()] != " ":
            yield run
            run = []
        run.append(match)
    if run:
        yield run


def _all_spellings(words: Iterable[str]) -> set[str]:
    return {spelling for word in words for spelling in name_spellings(word)}


def _own_digits(text: str) -> str:
    """The digits of a number without the prefix of the country."""
    digits = re.sub(r"\D", "", text)
    return digits[-10:] if len(digits) == 11 else digits


def _said(record: Content, keys: Iterable[str], ends: str | tuple[str, ...]) -> Iterator[str]:
    """Values of the fields whose keys end so."""
    for key in keys:
        value = record.get(key, "")
        if f".{key}".endswith(ends):
            yield from [value] if isinstance(value, str) else value


def _words_of(texts: Iterable[str]) -> set[str]:
    return {word.lower() for text in texts for word in _WORD.findall(text)}


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", _plain(text).lower())
