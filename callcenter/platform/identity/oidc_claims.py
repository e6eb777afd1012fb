"""Claims of the organisation's provider, and the user's role and name by them: rules only."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from callcenter.platform.identity.permissions import Role

Claims = Mapping[str, Any]

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")


def claim(claims: Claims, path: str) -> object:
    """The claim of this name, nested by dots (`realm_access.roles`); None: there is none.

    A name that has dots itself, as those that are addresses, is found as a whole.
    """
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def texts(value: object) -> list[str]:
    """The texts of a claim that is a text or a list of texts; nothing of any other kind."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def role_of(claims: Claims, path: str, roles: Mapping[str, Role]) -> Role | None:
    """The role of the first group of the setting that the user is in; None: no entry."""
    groups = set(texts(claim(claims, path)))
    return next((role for group, role in roles.items() if group in groups), None)


def has_second_factor(claims: Claims, strong: Collection[str]) -> bool:
    """Whether the claims (amr, or acr) say that a second factor was proved."""
    said = {*texts(claims.get("amr")), *texts(claims.get("acr"))}
    return not said.isdisjoint(strong)


def name_of(claims: Claims) -> str:
    """The user's name by the claims; an invalid one is refused later.

    `anna.k@example.kz` is anna.k: names are for people to recognise each other.
    """
    said = texts(claims.get("preferred_username")) or texts(claims.get("email"))
    local = said[0].partition("@")[0].lower() if said else ""
    return _NOT_IN_NAMES.sub("-", local).strip("-._")[:40]
