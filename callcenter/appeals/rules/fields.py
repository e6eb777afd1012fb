"""Fields of the form of an appeal (R12), defined by the center, each with an access rule.

A record's content is flat: `content` of the appeal itself, `applicant.name` or `affected2.age` of a
person. So two people's changes can be compared, and a draft is kept as it is typed.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from callcenter.appeals.rules.iin import parse_identifier
from callcenter.platform.core.errors import N_, InvalidRequest

Value = str | list[str]
Content = Mapping[str, Value]
NOTHING: Content = MappingProxyType({})
Changed = TypeVar("Changed")

PEOPLE = ("applicant", "representative", "reporter", "affected", "accused")
PEOPLE_LIMIT = 9  # people affected, and complained of, at most
LENGTH_LIMITS = {"text": 300, "long_text": 20_000}  # characters
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


class FieldType(StrEnum):
    """The type of a value; `choice` and `choices` are options of the field."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    CHOICE = "choice"
    CHOICES = "choices"
    DATE = "date"  #: ISO 8601, a day
    NUMBER = "number"  #: whole, 0 to 999999
    IDENTIFIER = "identifier"  #: ИИН or БИН
    YES = "yes"  #: "yes", or nothing


class AccessRule(StrEnum):
    """Access to a field: with the appeal, with its personal or with its sensitive data."""

    OPEN = "open"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"  #: kept encrypted


class Section(StrEnum):
    """The subject of a field."""

    APPEAL = "appeal"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a choice; codes never change, inactive ones are not offered."""

    code: str
    kk: str
    ru: str
    en: str
    parent: str = ""  #: the code of the option that this one is a part of: topics are a tree
    active: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """One question of the form. `built_in`: rules rely on it, so it stays and keeps its type.

    A question of risk has the codes of answers that are `proposing` urgency (see `rules.risk`),
    perhaps none; any other question has None there.
    """

    code: str
    section: Section
    type: FieldType
    guard: AccessRule
    kk: str
    ru: str
    en: str
    position: int
    options: tuple[Option, ...] = ()
    active: bool = True
    built_in: bool = False
    version: int = 1
    proposing: tuple[str, ...] | None = None
    verified: bool = True  #: a question of risk, by a psychologist


class WrongContent(InvalidRequest):
    """Something was entered wrongly; `faults` says what, by the key of the field."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {fault}" for key, fault in sorted(faults.items())))
        self.faults = dict(faults)

    @property
    def problem_details(self) -> dict[str, Any]:
        return {"faults": self.faults}


class Form:
    """The fields in force, in their order."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = sorted(fields, key=lambda each: (each.section, each.position, each.code))
        self._by_place = {(each.section, each.code): each for each in fields}

    def field(self, key: str) -> Field | None:
        """The field of a key of a record's content; None for an unknown key."""
        person = _PERSON.fullmatch(key)
        if person is not None:
            return self._by_place.get((Section.PERSON, person[2]))
        return self._by_place.get((Section.APPEAL, key))

    def options(self, key: str) -> tuple[Option, ...]:
        """The options of a choice; none for another field."""
        field = self.field(key)
        return () if field is None else field.options

    def option(self, key: str, value: Value) -> Option | None:
        """The option of a value; None when the field has no such option."""
        return next((each for each in self.options(key) if each.code == value), None)

    def normalize(self, content: Content, previous: Content = NOTHING) -> dict[str, Value]:
        """Validate content; returned trimmed, without empty values. Raises WrongContent.

        An option of the `previous` content that is none any more stays while nobody changes it.
        """
        normalized: dict[str, Value] = {}
        faults: dict[str, str] = {}
        for key, value in content.items():
            field = self.field(key)
            try:
                if field is None:
                    raise InvalidRequest(N_("there is no such field"))
                stays = value == previous.get(key) and field.type is FieldType.CHOICE
                clean = value if stays else _checked(field, value)
            except InvalidRequest as exc:
                faults[key] = OUTSIDE if key in WITHIN else str(exc)
            else:
                if clean:
                    normalized[key] = clean
        for part, whole in WITHIN.items():
            option = self.option(part, normalized.get(part, ""))
            if option is not None and option.parent != normalized.get(whole):
                faults[part] = OUTSIDE
        if faults:
            raise WrongContent(faults)
        return normalized

    def resolve_names(self, typed: Content) -> dict[str, Value]:
        """Replace names that were typed for the options of WITHIN by their codes.

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

    def visible(self, content: Content, guards: Collection[AccessRule]) -> dict[str, Value]:
        """The content of fields with these access rules."""
        return {key: value for key, value in content.items() if self.guard(key, content) in guards}

    def visible_changes(
        self, changed: Mapping[str, Changed], content: Content, guards: Collection[AccessRule]
    ) -> dict[str, Changed]:
        """The changes of fields with these access rules."""
        return {
            key: each
            for key, each in changed.items()
            if key == "kind" or AccessRule.SENSITIVE in guards or self.guard(key, content) in guards
        }

    def guard(self, key: str, content: Content) -> AccessRule:
        """The access rule of a key; a child's name and an unknown key are sensitive."""
        field = self.field(key)
        person, _, code = key.partition(".")
        if field is None or (code == "name" and content.get(f"{person}.person_kind") == "child"):
            return AccessRule.SENSITIVE
        return field.guard


def check_field(field: Field) -> None:
    """Validate the definition of a field. Raises InvalidRequest."""
    if not _CODE.fullmatch(field.code):
        raise InvalidRequest("a code has 2 to 40 small Latin letters and underlines")
    named: list[Field | Option] = [field, *field.options]
    names = [name for each in named for name in (each.kk, each.ru, each.en)]
    if not all(
        name == name.strip() and name.isprintable() and 1 <= len(name) <= 200 for name in names
    ):
        raise InvalidRequest("names in Kazakh, Russian and English have 1 to 200 characters")
    codes = [option.code for option in field.options]
    if len(set(codes)) != len(codes) or not all(map(_OPTION.fullmatch, codes)):
        raise InvalidRequest(
            "options have codes of small Latin letters, digits and underlines, each its own"
        )
    parts = {option.parent for option in field.options}
    if not parts <= {"", *codes} and not is_within(field):
        raise InvalidRequest("an option is a part of another one of the same field, or of none")
    if bool(codes) != (field.type in (FieldType.CHOICE, FieldType.CHOICES)):
        raise InvalidRequest("a choice has options, and nothing else has")
    if field.proposing is not None and not (
        field.section is Section.APPEAL
        and field.type is FieldType.CHOICE
        and set(field.proposing) <= set(codes)
    ):
        raise InvalidRequest("a question of risk has one answer, and proposes by its own answers")


def is_within(field: Field) -> bool:
    """Whether the options of a field are parts of those of another field."""
    return field.section is Section.APPEAL and field.code in WITHIN


def people_of(keys: Iterable[str]) -> list[str]:
    """The people whom keys of a record are of, as these begin: applicant, affected1, ..."""
    found = {match[1] for match in map(_PERSON.fullmatch, keys) if match}
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
    if field.type is FieldType.CHOICES:
        chosen = [value] if isinstance(value, str) else value
        return [_option(field, each) for each in dict.fromkeys(chosen) if each]
    if not isinstance(value, str):
        raise InvalidRequest(N_("enter one value"))
    text = value.strip().replace("\r\n", "\n")
    return _CHECKS[field.type](field, text) if text else ""


def _text(field: Field, text: str) -> str:
    if len(text) > LENGTH_LIMITS[field.type]:
        raise InvalidRequest(TOO_LONG)
    plain = text.replace("\n", "").replace("\t", "") if field.type is FieldType.LONG_TEXT else text
    if not plain.isprintable():
        raise InvalidRequest(N_("there are characters that cannot be printed: remove them"))
    return text


def _option(field: Field, code: str) -> str:
    if code not in {option.code for option in field.options}:
        raise InvalidRequest(N_("this is none of the answers: choose one"))
    return code


def _date(_: Field, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidRequest(N_("a day is written as 2026-11-24")) from None


def _number(_: Field, text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest(N_("enter a whole number from 0 to 999999"))
    return str(int(text))


def _yes(_: Field, text: str) -> str:
    if text != "yes":
        raise InvalidRequest(N_("yes, or nothing"))
    return text


_CHECKS = {
    FieldType.TEXT: _text,
    FieldType.LONG_TEXT: _text,
    FieldType.CHOICE: _option,
    FieldType.DATE: _date,
    FieldType.NUMBER: _number,
    FieldType.IDENTIFIER: lambda _, text: parse_identifier(text),
    FieldType.YES: _yes,
}
