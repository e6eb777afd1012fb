"""What the form of an appeal asks (R12): fields are the center's data, and each says who sees it.

A record's content is flat: `content` of the appeal itself, `applicant.name` or `affected2.age` of a
person. So two people's changes can be compared, and a draft is kept as it is typed.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from callcenter.errors import N_, AskedWrongly
from callcenter.register.identifiers import parse_identifier

Value = str | list[str]
Content = Mapping[str, Value]
NOTHING: Content = MappingProxyType({})
Kept = TypeVar("Kept")

PEOPLE = ("applicant", "representative", "reporter", "affected", "accused")
SEVERAL = 9  # people affected, and complained of, at most
LONGEST = {"text": 300, "long_text": 20_000}  # characters
TOO_LONG = N_("this is too long: shorten it")
#: Whose answers are parts of the answers of another question: districts of regions.
WITHIN = {"district": "region"}
OUTSIDE = N_("this is no district of the region: choose the region, then one of its districts")

_CODE = re.compile(r"[a-z][a-z_]{1,39}")
_OPTION = re.compile(r"[a-z0-9_]{1,40}")
_PERSON = re.compile(
    r"(applicant|representative|reporter|(?:affected|accused)[1-9])\.([a-z_]{2,40})"
)
_NUMBER = re.compile(r"[0-9]{1,6}")


class Type(StrEnum):
    """What may be entered; `choice` and `choices` are of the field's options."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    CHOICE = "choice"
    CHOICES = "choices"
    DATE = "date"  #: ISO 8601, a day
    NUMBER = "number"  #: whole, 0 to 999999
    IDENTIFIER = "identifier"  #: ИИН or БИН
    YES = "yes"  #: "yes", or nothing


class Guard(StrEnum):
    """Who sees it: whoever sees the appeal, whoever may see personal data, or sensitive ones."""

    OPEN = "open"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"  #: kept encrypted


class Section(StrEnum):
    """What it is asked about."""

    APPEAL = "appeal"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Option:
    """One answer of a choice; codes stay when names change. Inactive ones are not offered."""

    code: str
    kk: str
    ru: str
    en: str
    parent: str = ""  #: the code of the option that this one is a part of: topics are a tree
    active: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """One question of the form. `built_in`: rules rely on it, so it stays and keeps its type."""

    code: str
    section: Section
    type: Type
    guard: Guard
    kk: str
    ru: str
    en: str
    position: int
    options: tuple[Option, ...] = ()
    active: bool = True
    built_in: bool = False
    version: int = 1


class WrongContent(AskedWrongly):
    """Something was entered wrongly; `faults` says what, by the key of the field."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {fault}" for key, fault in sorted(faults.items())))
        self.faults = dict(faults)

    @property
    def told(self) -> dict[str, Any]:
        return {"faults": self.faults}


class Form:
    """The fields in force, in their order."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = sorted(fields, key=lambda each: (each.section, each.position, each.code))
        self._by_place = {(each.section, each.code): each for each in fields}

    def field(self, key: str) -> Field | None:
        """What this key of a record's content is; None when it is no field's."""
        person = _PERSON.fullmatch(key)
        if person is not None:
            return self._by_place.get((Section.PERSON, person[2]))
        return self._by_place.get((Section.APPEAL, key))

    def options(self, key: str) -> tuple[Option, ...]:
        """The answers of a choice; none when it is no choice."""
        field = self.field(key)
        return () if field is None else field.options

    def option(self, key: str, value: Value) -> Option | None:
        """The answer that a value is; None when it is none of the field's."""
        return next((each for each in self.options(key) if each.code == value), None)

    def checked(self, content: Content, known: Content = NOTHING) -> dict[str, Value]:
        """The content as it is kept: trimmed, without empty values. Raises WrongContent.

        Of what is `known`, since it was kept before, an answer that is none any more stays while
        nobody changes it.
        """
        kept: dict[str, Value] = {}
        faults: dict[str, str] = {}
        for key, value in content.items():
            field = self.field(key)
            try:
                if field is None:
                    raise AskedWrongly(N_("there is no such field"))
                stays = value == known.get(key) and field.type is Type.CHOICE
                clean = value if stays else _checked(field, value)
            except AskedWrongly as exc:
                faults[key] = OUTSIDE if key in WITHIN else str(exc)
            else:
                if clean:
                    kept[key] = clean
        for part, whole in WITHIN.items():
            option = self.option(part, kept.get(part, ""))
            if option is not None and option.parent != kept.get(whole):
                faults[part] = OUTSIDE
        if faults:
            raise WrongContent(faults)
        return kept

    def meant(self, typed: Content) -> dict[str, Value]:
        """What a page sends, where the answers of WITHIN are typed by their names, by codes.

        The region of a district is filled in. A name that is none, or of several, stays.
        """
        content = dict(typed)
        for part, whole in WITHIN.items():
            name, inside = typed.get(part, ""), typed.get(whole)
            said = " ".join(name.split()).casefold() if isinstance(name, str) else ""
            named = [each for each in self.options(part) if said in _names(each)]
            here = [each for each in named if each.parent == inside] or named
            found = [each for each in here if each.active] or here
            if len(found) == 1:
                content |= {part: found[0].code, whole: inside or found[0].parent}
        return content

    def visible(self, content: Content, guards: Collection[Guard]) -> dict[str, Value]:
        """What of a content somebody sees who may see these guards."""
        return {key: value for key, value in content.items() if self.guard(key, content) in guards}

    def shown(
        self, changed: Mapping[str, Kept], content: Content, guards: Collection[Guard]
    ) -> dict[str, Kept]:
        """What of the changes of a content somebody sees who may see these guards."""
        return {
            key: each
            for key, each in changed.items()
            if key == "kind" or Guard.SENSITIVE in guards or self.guard(key, content) in guards
        }

    def guard(self, key: str, content: Content) -> Guard:
        """Who sees it. A child's name is sensitive, and so is what no field is known for."""
        field = self.field(key)
        person, _, code = key.partition(".")
        if field is None or (code == "name" and content.get(f"{person}.person_kind") == "child"):
            return Guard.SENSITIVE
        return field.guard


def check_field(field: Field) -> None:
    """Raises AskedWrongly for a field that cannot be kept."""
    if not _CODE.fullmatch(field.code):
        raise AskedWrongly("a code has 2 to 40 small Latin letters and underlines")
    named: list[Field | Option] = [field, *field.options]
    names = [name for each in named for name in (each.kk, each.ru, each.en)]
    if not all(
        name == name.strip() and name.isprintable() and 1 <= len(name) <= 200 for name in names
    ):
        raise AskedWrongly("names in Kazakh, Russian and English have 1 to 200 characters")
    codes = [option.code for option in field.options]
    if len(set(codes)) != len(codes) or not all(map(_OPTION.fullmatch, codes)):
        raise AskedWrongly(
            "options have codes of small Latin letters, digits and underlines, each its own"
        )
    parts = {option.parent for option in field.options}
    if not parts <= {"", *codes} and not is_within(field):
        raise AskedWrongly("an option is a part of another one of the same field, or of none")
    if bool(codes) != (field.type in (Type.CHOICE, Type.CHOICES)):
        raise AskedWrongly("a choice has options, and nothing else has")


def is_within(field: Field) -> bool:
    """Whether its options are parts of those of another field."""
    return field.section is Section.APPEAL and field.code in WITHIN


def people_of(content: Content) -> list[str]:
    """Who is in the record, as their keys begin: applicant, affected1, ..."""
    found = {match[1] for match in map(_PERSON.fullmatch, content) if match}
    return sorted(found, key=lambda each: (PEOPLE.index(each.rstrip("123456789")), each))


def is_identified(content: Content) -> bool:
    """Whether the applicant is named as a formal appeal needs it (APPC, 63(2))."""
    return bool(
        content.get("applicant.name")
        and (content.get("applicant.identifier") or content.get("applicant.address"))
    )


def _names(option: Option) -> set[str]:
    return {each.casefold() for each in (option.kk, option.ru, option.en)}


def _checked(field: Field, value: Value) -> Value:
    if field.type is Type.CHOICES:
        chosen = [value] if isinstance(value, str) else value
        return [_option(field, each) for each in dict.fromkeys(chosen) if each]
    if not isinstance(value, str):
        raise AskedWrongly(N_("one value is asked for"))
    text = value.strip().replace("\r\n", "\n")
    return _CHECKS[field.type](field, text) if text else ""


def _text(field: Field, text: str) -> str:
    if len(text) > LONGEST[field.type]:
        raise AskedWrongly(TOO_LONG)
    plain = text.replace("\n", "").replace("\t", "") if field.type is Type.LONG_TEXT else text
    if not plain.isprintable():
        raise AskedWrongly(N_("there are characters that cannot be printed: remove them"))
    return text


def _option(field: Field, code: str) -> str:
    if code not in {option.code for option in field.options}:
        raise AskedWrongly(N_("this is none of the answers: choose one"))
    return code


def _date(_: Field, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise AskedWrongly(N_("a day is written as 2026-11-24")) from None


def _number(_: Field, text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise AskedWrongly(N_("a whole number from 0 to 999999 is asked for"))
    return str(int(text))


def _yes(_: Field, text: str) -> str:
    if text != "yes":
        raise AskedWrongly(N_("yes, or nothing"))
    return text


_CHECKS = {
    Type.TEXT: _text,
    Type.LONG_TEXT: _text,
    Type.CHOICE: _option,
    Type.DATE: _date,
    Type.NUMBER: _number,
    Type.IDENTIFIER: lambda _, text: parse_identifier(text),
    Type.YES: _yes,
}
