"""Districts of КАТО, the state's classifier of territories (stat.gov.kz).

A code has nine digits, AB CD EF HIJ: AB is the region, and above 70 a city that is one (Astana,
Almaty, Shymkent). A district is a district of a region, a city that is no part of one, or a
district of such a city.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from callcenter.appeals.rules.fields import Option
from callcenter.platform.core.errors import InvalidRequest

CODE, KAZAKH, RUSSIAN = "te", "kaz_name", "rus_name"  # columns, as the classifier names them

_CODE = re.compile(r"[1-9][0-9]{8}")
_CITIES_FROM = 70
# What the classifier abbreviates, or writes with a letter of another alphabet.
_WRITTEN_OUT = (
    (re.compile("ќ"), "қ"),
    (re.compile("Ќ"), "Қ"),
    (re.compile(r"\s+"), " "),
    (re.compile(r"атын\.\s*"), "атындағы "),
    (re.compile(r"\bим\.\s*"), "имени "),
    (re.compile(r"^Район "), "район "),
)
_CITY_OF = re.compile(r"^(.+) (?:Г\.\s?А\.|Қ\.\s?Ә\.)$", re.IGNORECASE)
_KIND_OF = re.compile(r" (?:атындағы )?(ауданы|аудан|қаласы)$")
# Kazakh names in Latin letters, spelled as those of the regions are: Jambyl, Ulytau.
_LATIN = {
    "а": "a", "ә": "a", "б": "b", "в": "v", "г": "g", "ғ": "g", "д": "d", "е": "e", "ё": "e",
    "ж": "j", "з": "z", "и": "i", "й": "i", "к": "k", "қ": "k", "л": "l", "м": "m", "н": "n",
    "ң": "n", "о": "o", "ө": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ұ": "u",
    "ү": "u", "ф": "f", "х": "kh", "һ": "h", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ъ": "",
    "ы": "y", "і": "i", "ь": "", "э": "e", "ю": "yu", "я": "ya",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassifierUpdate:
    """Options after a newer classifier, and the differences from those before."""

    options: tuple[Option, ...]
    added: Sequence[Option]
    renamed: Sequence[Option]
    ended: Sequence[Option]  #: not in it any more; they stay where they were chosen

    @property
    def changed(self) -> bool:
        return bool(self.added or self.renamed or self.ended)


def districts(rows: Iterable[Sequence[object]]) -> list[Option]:
    """The districts among the rows of the classifier, by code, each in its region.

    Raises InvalidRequest when the rows are not those of the classifier.
    """
    found: dict[str, Option] = {}
    for code, kazakh, russian in _read(rows):
        if not is_district(code):
            continue
        kk, ru = _named(kazakh, "{} қаласы"), _named(russian, "город {}")
        if not kk or not ru:
            raise InvalidRequest(f"{code} has no name in Kazakh or Russian: take the whole file")
        if code in found:
            raise InvalidRequest(f"{code} is there twice: take the file as it is on stat.gov.kz")
        found[code] = Option(code, kk, ru, in_latin(kk), parent=region_of(code))
    return [found[code] for code in sorted(found)]


def is_district(code: str) -> bool:
    """Whether a code of nine digits is that of a district."""
    own = 6 if int(code[:2]) > _CITIES_FROM else 4
    return code[2:4] != "00" and set(code[own:]) == {"0"}


def region_of(code: str) -> str:
    """The code of the region that a code is in."""
    return f"{code[:2]}0000000"


def update_districts(
    old: Sequence[Option], regions: Sequence[Option], found: Sequence[Option]
) -> ClassifierUpdate:
    """Update districts by a newer classifier; none is deleted, an ended one is inactive.

    Raises InvalidRequest when the classifier does not fit the regions that the form has.
    """
    region_codes = {region.code for region in regions}
    for each in found:
        if each.parent not in region_codes:
            raise InvalidRequest(
                f"{each.ru} is in the region {each.parent}, which the question of the region does"
                " not have: add it there first"
            )
    for region in regions:
        if region.active and region.code not in {each.parent for each in found}:
            raise InvalidRequest(f"no district of {region.ru} is there: take the whole classifier")
    before, now = {each.code: each for each in old}, {each.code: each for each in found}
    ended = {code: replace(each, active=False) for code, each in before.items() if code not in now}
    options = ended | now
    return ClassifierUpdate(
        tuple(options[code] for code in sorted(options)),
        [now[code] for code in now if code not in before],
        [now[code] for code in now if code in before and now[code] != before[code]],
        [ended[code] for code in ended if before[code].active],
    )


def in_latin(kazakh: str) -> str:
    """A Kazakh name of a district for pages in English: `Ақкөл ауданы` is `Akkol district`."""
    kind = _KIND_OF.search(kazakh)
    name = kazakh[: kind.start()] if kind else kazakh
    latin = "".join(_cased(letter) for letter in name)
    return f"{latin} {'city' if kind and kind[1] == 'қаласы' else 'district'}"


def _read(rows: Iterable[Sequence[object]]) -> Iterator[tuple[str, str, str]]:
    """Code and names of each row below the one that names the columns."""
    columns = (CODE, KAZAKH, RUSSIAN)
    places: list[int] | None = None
    for row in rows:
        cells = [_text(cell) for cell in row]
        if places is None:
            names = [cell.lower() for cell in cells]
            if all(name in names for name in columns):
                places = [names.index(name) for name in columns]
        elif max(places) < len(cells) and _CODE.fullmatch(cells[places[0]]):
            code, kazakh, russian = (cells[place] for place in places)
            yield code, kazakh, russian
    if places is None:
        raise InvalidRequest(
            f"no row names the columns {', '.join(columns)}: is it the classifier?"
        )


def _text(cell: object) -> str:
    """A cell as text; a spreadsheet may keep a code as a number."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell).strip().strip("\ufeff")


def _named(name: str, city: str) -> str:
    for written, out in _WRITTEN_OUT:
        name = written.sub(out, name)
    found = _CITY_OF.fullmatch(name.strip())
    return city.format(found[1]) if found else name.strip()


def _cased(letter: str) -> str:
    latin = _LATIN.get(letter.lower(), letter)
    return latin.capitalize() if letter != letter.lower() else latin
