"""Fields of a record that a request may have without a reason, by direction (R23).

A request begins empty: a person chooses each field. What is on no list needs a reason, fields that
the center adds to the form too. Who reports, and what the center decided, is on none.
"""

from collections.abc import Mapping

#: What any body has to know of the matter, and of whom it answers.
OF_ALL = frozenset(
    {
        *("direction", "topics", "region", "district", "content"),
        *("applicant.person_kind", "applicant.name", "applicant.language"),
        *("applicant.phone", "applicant.email", "applicant.safe_ways"),
    }
)
#: Of whom a body that helps at once has to find.
_OF_VICTIM = frozenset(
    {
        *("affected.person_kind", "affected.name", "affected.age", "affected.sex"),
        *("affected.address", "affected.language", "affected.relation"),
        *("affected.phone", "affected.safe_ways"),
    }
)
_DANGER = frozenset({"place", "danger", "danger_reason", "urgency", "applicant.address"})
_IDENTITY = frozenset({"applicant.identifier", "applicant.address"})

#: By the 13 directions of point 10 of the Rules.
BY_DIRECTION: Mapping[str, frozenset[str]] = {
    "rights": _IDENTITY,
    "order": _DANGER
    | _OF_VICTIM
    | {"circumstances", "accused.name", "accused.address", "accused.relation"},
    "legal": _IDENTITY,
    "children": _DANGER | _OF_VICTIM | {"circumstances"},
    "social": _IDENTITY | {"circumstances", "applicant.age", "applicant.sex"},
    "health_care": _DANGER | _OF_VICTIM | {"circumstances", "applicant.age", "applicant.sex"},
    "emergencies": _DANGER | _OF_VICTIM | {"circumstances"},
    "foreign": _IDENTITY,
    "youth_family": frozenset({"circumstances"}),
    "mobilization": _IDENTITY,
    "veterinary_land": frozenset({"place"}),
    "transport": frozenset({"place"}),
    "tourism_sport": frozenset({"place"}),
}


def is_allowed(direction: str, key: str) -> bool:
    """Whether a key of a record's content may be in a request of a direction without a reason."""
    person, dot, code = key.partition(".")
    field = f"{person.rstrip('123456789')}.{code}" if dot else key
    return field in OF_ALL or field in BY_DIRECTION.get(direction, frozenset())
