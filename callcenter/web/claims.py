"""What an organisation's provider says of a person, and what we make of it: rules only."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from callcenter.web.permissions import Role

Claims = Mapping[str, Any]

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")


def claim(claims: Claims, path: str) -> object:
    """The claim of this name, or within others by dots (`realm_access.roles`); None: there is none.

    A name that has dots itself, as those that are addresses, is found as a whole.
    """
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def texts(value: object) -> list[str]:
    """A claim that is one text or a list of them; nothing of any other kind."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def role_of(claims: Claims, path: str, roles: Mapping[str, Role]) -> Role | None:
    """The role of the first group of the setting that the person is in; None: no entry."""
    groups = set(texts(claim(claims, path)))
    return next((role for group, role in roles.items() if group in groups), None)


def has_second_factor(claims: Claims, strong: Collection[str]) -> bool:
    """Whether the provider says (amr, or acr) that a second factor was proved there."""
    said = {*texts(claims.get("amr")), *texts(claims.get("acr"))}
    return not said.isdisjoint(strong)


def name_of(claims: Claims) -> str:
    """A name for the person here, as the person is known there; what is no name is refused later.

    `anna.k@example.kz` is anna.k: names are for people to recognise each other.
    """
    said = texts(claims.get("preferred_username")) or texts(claims.get("email"))
    local = said[0].partition("@")[0].lower() if said else ""
    return _NOT_IN_NAMES.sub("-", local).strip("-._")[:40]
