"""Names and contacts of a body as lines, in which people edit them: parts parted by `|`."""

from collections.abc import Iterable
from datetime import date

from callcenter.bodies.rules.directory import (
    BodyContact,
    BodyName,
    ContactMethod,
    DirectoryFault,
    WrongBody,
)


def format_names(names: Iterable[BodyName]) -> str:
    """Names, one a line: `2026-11-24 | Kazakh | Russian | English`."""
    return "\n".join(f"{each.valid_from} | {each.kk} | {each.ru} | {each.en}" for each in names)


def parse_names(text: str) -> tuple[BodyName, ...]:
    """Parse what `format_names` writes. Raises WrongBody."""
    return tuple(_name(_parts(line)) for line in text.splitlines() if line.strip())


def format_contacts(contacts: Iterable[BodyContact]) -> str:
    """Contacts, one a line: `telephone | 8 7172 000000 | kk,ru | Mo-Fr 09:00-18:30 | source`."""
    return "\n".join(map(format_contact, contacts))


def format_contact(contact: BodyContact) -> str:
    """A contact in a line, without empty parts at its end."""
    method, value, languages, hours, source = contact.content
    return " | ".join((method.value, value, ",".join(languages), hours, source)).rstrip(" |")


def parse_contacts(text: str) -> tuple[BodyContact, ...]:
    """Parse what `format_contacts` writes. Raises WrongBody."""
    return tuple(read_contact(*_parts(line)) for line in text.splitlines() if line.strip())


def read_contact(
    method: str, value: str = "", languages: str = "", hours: str = "", *source: str
) -> BodyContact:
    """A contact from its parts as typed. Raises WrongBody for an unknown method."""
    if method not in {each.value for each in ContactMethod}:
        raise WrongBody(DirectoryFault.METHOD)
    spoken = tuple(languages.replace(",", " ").split())
    return BodyContact(ContactMethod(method), value, spoken, hours, " | ".join(source))


def read_day(written: str) -> date:
    """A day as 2026-11-24. Raises WrongBody."""
    try:
        return date.fromisoformat(written)
    except ValueError as exc:
        raise WrongBody(DirectoryFault.DAY) from exc


def _parts(line: str) -> list[str]:
    return [part.strip() for part in line.split("|")]


def _name(parts: list[str]) -> BodyName:
    if len(parts) != 4:
        raise WrongBody(DirectoryFault.NAMES)
    return BodyName(read_day(parts[0]), *parts[1:])
