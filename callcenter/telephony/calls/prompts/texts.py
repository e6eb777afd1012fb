"""Texts of the prompts in both languages, and the rules by which numbers are spoken.

The sentences are in `texts.json`, each with its status: all are drafts until a native speaker and
a lawyer have reviewed them. Numbers are made here by rule.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES

PAUSE = "pause"  #: id of the short silence between groups of digits
LARGEST = 100  #: cardinal numbers are spoken from 0 to this

_ONES = {
    "kk": ("нөл", "бір", "екі", "үш", "төрт", "бес", "алты", "жеті", "сегіз", "тоғыз"),
    "ru": ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"),
}
_TEENS_RU = ("один", "две", "три", "четыр", "пят", "шест", "сем", "восем", "девят")
_TENS_RU = ("десять", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят")
_TENS = {
    "kk": ("он", "жиырма", "отыз", "қырық", "елу", "алпыс", "жетпіс", "сексен", "тоқсан", "жүз"),
    "ru": (*_TENS_RU, "восемьдесят", "девяносто", "сто"),
}
_MONTHS = {
    "kk": "қаңтар ақпан наурыз сәуір мамыр маусым шілде тамыз қыркүйек қазан қараша желтоқсан",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
}
# fmt: off
_DAYS_RU = (
    "первое", "второе", "третье", "четвёртое", "пятое", "шестое", "седьмое", "восьмое", "девятое",
    "десятое", "одиннадцатое", "двенадцатое", "тринадцатое", "четырнадцатое", "пятнадцатое",
    "шестнадцатое", "семнадцатое", "восемнадцатое", "девятнадцатое", "двадцатое", "тридцатое",
)
# fmt: on
_ORDINALS_KK = {
    "бір": "бірінші",
    "екі": "екінші",
    "үш": "үшінші",
    "төрт": "төртінші",
    "бес": "бесінші",
    "алты": "алтыншы",
    "жеті": "жетінші",
    "сегіз": "сегізінші",
    "тоғыз": "тоғызыншы",
    "он": "оныншы",
    "жиырма": "жиырмасыншы",
    "отыз": "отызыншы",
}
_KEYS = {"*": "star", "#": "pound"} | {str(digit): f"number_{digit}" for digit in range(10)}


@dataclass(frozen=True)
class Text:
    """Text of a prompt by language, its review status, and its input for speech synthesis.

    `machine` has the words, or digits where the engine stresses those better.
    """

    words: dict[str, str]
    status: str
    machine: dict[str, str]


@cache
def texts() -> MappingProxyType[str, Text]:
    """Return the texts of all spoken prompts by id: sentences, numbers, days, months."""
    sentences = json.loads(Path(__file__).with_name("texts.json").read_text("utf-8"))
    all_texts = {}
    for sentence in sentences:
        words = {language: sentence[language] for language in CALLER_LANGUAGES}
        all_texts[sentence["id"]] = Text(words, sentence["status"], words)
    for number in range(LARGEST + 1):
        words = {language: cardinal(language, number) for language in CALLER_LANGUAGES}
        # espeak-ng reads «сорок» as соро́к and 40 as со́рок; only the Kazakh zero it reads wrong.
        machine = {language: str(number) for language in CALLER_LANGUAGES} if number else words
        all_texts[f"number_{number}"] = Text(words, "draft by rule, needs review", machine)
    for day in range(1, 32):
        words = {language: ordinal(language, day) for language in CALLER_LANGUAGES}
        all_texts[f"day_{day}"] = Text(words, "draft by rule, needs review", words)
    for month in range(1, 13):
        words = {language: _MONTHS[language].split()[month - 1] for language in CALLER_LANGUAGES}
        all_texts[f"month_{month}"] = Text(words, "draft by rule, needs review", words)
    return MappingProxyType(all_texts)


def names() -> list[str]:
    """Return the names LANGUAGE/ID of all prompts, spoken or silent; each is a file."""
    return [f"{language}/{prompt}" for language in CALLER_LANGUAGES for prompt in (*texts(), PAUSE)]


def name(language: str, prompt: str) -> str:
    """Return LANGUAGE/ID, safe in a path. Raises InvalidRequest for an unknown prompt."""
    if language not in CALLER_LANGUAGES:
        raise InvalidRequest(f"no prompts in the language {language!r}: only kk and ru")
    if prompt not in texts() and prompt != PAUSE:
        raise InvalidRequest(f"no prompt is named {prompt!r}: see callcenter prompts list")
    return f"{language}/{prompt}"


def cardinal(language: str, number: int) -> str:
    """Return a number from 0 to 100 in words, in the counting form (бір, один)."""
    tens, ones = divmod(number, 10)
    if language == "ru" and 10 < number < 20:
        return f"{_TEENS_RU[ones - 1]}надцать"
    said = [_TENS[language][tens - 1]] if tens else []
    if ones or not tens:
        said.append(_ONES[language][ones])
    return " ".join(said)


def ordinal(language: str, day: int) -> str:
    """Return a day of the month as in dates: жиырма төртінші, двадцать четвёртое."""
    if language == "kk":
        *before, last = cardinal(language, day).split()
        return " ".join([*before, _ORDINALS_KK[last]])
    if day <= 20 or day == 30:
        return _DAYS_RU[min(day, 21) - 1]
    return f"{_TENS['ru'][day // 10 - 1]} {_DAYS_RU[day % 10 - 1]}"


def as_dialled(number: str) -> str:
    """Return a number, E.164 or short, as it is spoken in Kazakhstan, with a leading 8."""
    return "8" + number[2:] if number.startswith("+7") else number.removeprefix("+")


def spell_digits(keys: str) -> list[str]:
    """Return prompt ids of a number by digits, in groups with pauses between.

    Ten digits are said 3-3-2-2, a phone's eleven 3-3-3-2: people write down what they hear in
    such groups. Raises InvalidRequest when `keys` is empty or not only digits, `*` and `#`.
    """
    if not keys or not _KEYS.keys() >= set(keys):
        raise InvalidRequest("only digits, * and # can be spelled to a caller")
    said: list[str] = []
    for group in _groups(keys):
        said += [PAUSE] * bool(said) + [_KEYS[key] for key in group]
    return said


def _groups(keys: str) -> list[str]:
    groups, rest = [], keys
    while len(rest) > 4 or len(rest) == 3:
        groups.append(rest[:3])
        rest = rest[3:]
    return groups + [rest[start : start + 2] for start in range(0, len(rest), 2)]
