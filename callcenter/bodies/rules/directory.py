"""Bodies of the directory: names by date, place, competence and verified contacts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from uuid import UUID

from callcenter.appeals.rules.fields import Form
from callcenter.bodies.rules.opening_hours import format_hours, parse_hours
from callcenter.bodies.rules.working_hours import (
    BodyHours,
    format_working_hours,
    parse_working_hours,
    read_stored_hours,
)
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.core.timezone import ZONE

VERIFY_AFTER = timedelta(days=90)  # a contact that nobody has verified for as long is stale
NAME_LIMIT = 300  # characters
VALUE_LIMIT = 300  # characters

_CODE = re.compile(r"[a-z][a-z0-9_]{1,39}")
_EMAIL = re.compile(r"[^@\s;]{1,64}@[^@\s;]+\.[^@\s;]+")
#: Mailboxes that nobody reads: fixmystreet#5791 sent reports to one for months.
_NO_REPLY = re.compile(r"no[._-]?reply|do[._-]?not[._-]?reply", re.I)


class BodyKind(StrEnum):
    """The kind of a body; the names are stored."""

    CENTRAL = "central"
    LOCAL = "local"  #: a local executive body: an akimat
    DEPARTMENT = "department"  #: of a central or local body
    COMMISSIONER = "commissioner"  #: for children's rights
    ORGANIZATION = "organization"  #: no state body, and competent all the same


class ContactMethod(StrEnum):
    """The way of a contact; the names are stored."""

    TELEPHONE = "telephone"
    DUTY = "duty"  #: the number of the officer on duty, for the center alone
    EMAIL = "email"
    WORKPLACE = "workplace"  #: the body's own page here
    EOTINISH = "eotinish"  #: entered in e-Otinish by hand
    LETTER = "letter"


#: Contacts that callers are given.
PUBLIC = (ContactMethod.TELEPHONE, ContactMethod.EMAIL, ContactMethod.LETTER)
WITHOUT_VALUE = (ContactMethod.WORKPLACE, ContactMethod.EOTINISH)


class ContactState(StrEnum):
    """Whether a contact may be relied on."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"  #: nobody ever has
    STALE = "stale"  #: it was, too long ago
    FAILED = "failed"  #: since then it bounced, or was wrong


class DirectoryFault(StrEnum):
    """The reason that a body is refused."""

    CODE = "code"
    KIND = "kind"
    PARENT = "parent"  #: there is none of this code, or it is below this body
    PLACE = "place"  #: no region, or no district of the region
    DIRECTION = "direction"
    TOPIC = "topic"
    NAMES = "names"  #: one is missing, too long, or of the same day as another
    DAY = "day"
    METHOD = "method"
    VALUE = "value"  #: no telephone number, address of mail, ...
    NO_REPLY = "no_reply"
    LANGUAGES = "languages"
    HOURS = "hours"
    WORKING_HOURS = "working_hours"
    TWICE = "twice"  #: a contact, or a body


class WrongBody(InvalidRequest):
    """A body cannot be entered so."""

    def __init__(self, fault: DirectoryFault) -> None:
        super().__init__(f"the body cannot be entered so: {fault.value}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class BodyName:
    """A name from a day on; the first one counts before its day too."""

    valid_from: date
    kk: str
    ru: str
    en: str

    def in_language(self, language: str) -> str:
        return {"kk": self.kk, "ru": self.ru}.get(language, self.en)


@dataclass(frozen=True, slots=True)
class BodyContact:
    """A way to reach a body; a changed one is another, which nobody has verified yet."""

    method: ContactMethod
    value: str = ""
    languages: tuple[str, ...] = ()  #: none: nobody has said
    hours: str = ""  #: as `opening_hours` reads them; empty: nobody has said
    source: str = ""  #: where it was found
    id: UUID | None = None
    verified_at: datetime | None = None
    verified_by: str | None = None  #: user:NAME
    failed_at: datetime | None = None
    failure: str | None = None

    @property
    def content(self) -> tuple[ContactMethod, str, tuple[str, ...], str, str]:
        """The parts of it that people enter."""
        return self.method, self.value, self.languages, self.hours, self.source

    def state(self, now: datetime) -> ContactState:
        """Whether it may be relied on: its last failure counts until it is verified again."""
        if self.failed_at is not None:
            return ContactState.FAILED
        if self.verified_at is None:
            return ContactState.UNVERIFIED
        return (
            ContactState.STALE if now - self.verified_at > VERIFY_AFTER else ContactState.VERIFIED
        )


@dataclass(frozen=True, slots=True)
class Body:
    """A body of the directory. `code` never changes; `version` 0 is not stored yet."""

    code: str
    kind: BodyKind
    names: tuple[BodyName, ...]  #: by their days
    parent: str | None = None
    region: str = ""  #: КАТО; empty: the country
    district: str = ""
    directions: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    contacts: tuple[BodyContact, ...] = ()
    working_hours: str = ""  #: as `working_hours` reads them; empty: nobody has said
    ended_on: date | None = None  #: the first day without it
    version: int = 0

    def name_on(self, day: date) -> BodyName:
        """The name that it has on a day: ministries are renamed."""
        begun = [name for name in self.names if name.valid_from <= day]
        return begun[-1] if begun else self.names[0]

    @property
    def hours(self) -> BodyHours:
        """The hours in which it works, and in which what is not urgent is passed on to it."""
        return read_stored_hours(self.working_hours)

    def is_in_force(self, day: date) -> bool:
        return self.ended_on is None or day < self.ended_on

    def usable(self, now: datetime) -> tuple[BodyContact, ...]:
        """The contacts that have not failed."""
        return tuple(each for each in self.contacts if each.state(now) is not ContactState.FAILED)

    def public(self, now: datetime) -> tuple[BodyContact, ...]:
        """The contacts that callers are given: public ones that have not failed."""
        return tuple(each for each in self.usable(now) if each.method in PUBLIC)

    def telephone(self, now: datetime) -> BodyContact | None:
        """The telephone that callers are given: one that somebody vouches for goes first.

        None once the body has ended: who is there now is another one.
        """
        if not self.is_in_force(now.astimezone(ZONE).date()):
            return None
        of_callers = [each for each in self.public(now) if each.method is ContactMethod.TELEPHONE]
        return min(
            of_callers,
            key=lambda each: each.state(now) is not ContactState.VERIFIED,
            default=None,
        )

    def needs_verification(self, now: datetime) -> bool:
        """Whether a contact of it is unverified, stale or failed."""
        return any(each.state(now) is not ContactState.VERIFIED for each in self.contacts)


class Directory:
    """All bodies, by code."""

    def __init__(self, bodies: Iterable[Body]) -> None:
        self.bodies = {body.code: body for body in bodies}

    @cached_property
    def by_place(self) -> dict[tuple[str, str], list[Body]]:
        """Bodies by region and district, both empty for the country."""
        found: dict[tuple[str, str], list[Body]] = {}
        for body in self.bodies.values():
            found.setdefault((body.region, body.district), []).append(body)
        return found

    def parents(self, body: Body) -> Iterator[Body]:
        """The bodies above one, the nearest first."""
        seen = {body.code}
        above = self.bodies.get(body.parent or "")
        while above is not None and above.code not in seen:
            seen.add(above.code)
            yield above
            above = self.bodies.get(above.parent or "")

    def children(self, body: Body) -> list[Body]:
        """The bodies directly below one."""
        return [each for each in self.bodies.values() if each.parent == body.code]

    def find(self, typed: str) -> list[Body]:
        """Bodies with all these words in a name of any language and day, or in a contact."""
        words = typed.casefold().split()
        return [
            body for body in self.bodies.values() if all(word in _searched(body) for word in words)
        ]


def check_body(body: Body, directory: Directory, form: Form) -> Body:
    """Validate a body; returned with trimmed texts, names by their days. Raises WrongBody."""
    if not _CODE.fullmatch(body.code):
        raise WrongBody(DirectoryFault.CODE)
    _check_parent(body, directory)
    _check_place(body, form)
    for codes, field, fault in (
        (body.directions, "direction", DirectoryFault.DIRECTION),
        (body.topics, "topics", DirectoryFault.TOPIC),
    ):
        if not set(codes) <= {option.code for option in form.options(field)}:
            raise WrongBody(fault)
    contacts = tuple(_contact(each) for each in body.contacts)
    if len({each.content[:2] for each in contacts}) < len(contacts):
        raise WrongBody(DirectoryFault.TWICE)
    try:
        working_hours = format_working_hours(parse_working_hours(body.working_hours))
    except InvalidRequest as exc:
        raise WrongBody(DirectoryFault.WORKING_HOURS) from exc
    return replace(
        body,
        working_hours=working_hours,
        names=_names(body.names),
        directions=tuple(dict.fromkeys(body.directions)),
        topics=tuple(dict.fromkeys(body.topics)),
        contacts=contacts,
    )


def _searched(body: Body) -> str:
    names = [text for name in body.names for text in (name.kk, name.ru, name.en)]
    return " ".join([*names, *(each.value for each in body.contacts), body.code]).casefold()


def _check_parent(body: Body, directory: Directory) -> None:
    if body.parent is None:
        return
    parent = directory.bodies.get(body.parent)
    above = () if parent is None else (parent, *directory.parents(parent))
    if parent is None or body.code in {each.code for each in above}:
        raise WrongBody(DirectoryFault.PARENT)


def _check_place(body: Body, form: Form) -> None:
    region, district = form.option("region", body.region), form.option("district", body.district)
    if (body.region and region is None) or (body.district and district is None):
        raise WrongBody(DirectoryFault.PLACE)
    if district is not None and district.parent != body.region:
        raise WrongBody(DirectoryFault.PLACE)


def _names(names: Sequence[BodyName]) -> tuple[BodyName, ...]:
    clean = [
        BodyName(each.valid_from, each.kk.strip(), each.ru.strip(), each.en.strip())
        for each in names
    ]
    texts = [text for each in clean for text in (each.kk, each.ru, each.en)]
    if not texts or not all(0 < len(text) <= NAME_LIMIT and text.isprintable() for text in texts):
        raise WrongBody(DirectoryFault.NAMES)
    if len({each.valid_from for each in clean}) < len(clean):
        raise WrongBody(DirectoryFault.NAMES)
    return tuple(sorted(clean, key=lambda each: each.valid_from))


def _contact(contact: BodyContact) -> BodyContact:
    value, source = contact.value.strip(), contact.source.strip()
    if not all(len(text) <= VALUE_LIMIT and text.isprintable() for text in (value, source)):
        raise WrongBody(DirectoryFault.VALUE)
    if not value and contact.method not in WITHOUT_VALUE:
        raise WrongBody(DirectoryFault.VALUE)
    if contact.method in (ContactMethod.TELEPHONE, ContactMethod.DUTY):
        if parse_caller_id(value).kind not in ("number", "short"):
            raise WrongBody(DirectoryFault.VALUE)
    elif contact.method is ContactMethod.EMAIL:
        if not _EMAIL.fullmatch(value):
            raise WrongBody(DirectoryFault.VALUE)
        if _NO_REPLY.search(value.partition("@")[0]):
            raise WrongBody(DirectoryFault.NO_REPLY)
    if not set(contact.languages) <= set(CALLER_LANGUAGES):
        raise WrongBody(DirectoryFault.LANGUAGES)
    try:
        hours = format_hours(parse_hours(contact.hours))
    except InvalidRequest as exc:
        raise WrongBody(DirectoryFault.HOURS) from exc
    languages = tuple(each for each in CALLER_LANGUAGES if each in contact.languages)
    return replace(contact, value=value, languages=languages, hours=hours, source=source)
