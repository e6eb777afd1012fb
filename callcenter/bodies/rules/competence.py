"""Competence: the body for a topic or direction at a place, and the reason (R4, R16).

The body of the district goes before that of the region, and that before the country's. One without
a contact that works is passed over, visibly: its parents follow, then the next wider place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from callcenter.appeals.rules.fields import Form, Option
from callcenter.bodies.rules.directory import Body, BodyKind, ContactState, Directory
from callcenter.platform.core.timezone import ZONE


class Subject(StrEnum):
    """A question of the form by which a body is competent."""

    TOPIC = "topics"
    DIRECTION = "direction"


class Place(StrEnum):
    """The place that a body is competent for."""

    DISTRICT = "district"
    REGION = "region"
    COUNTRY = "country"


class Coverage(IntEnum):
    """How well a subject at a place is covered; all but `COVERED` stand on the list of holes."""

    NOBODY = 0  #: no body is competent
    NO_CONTACT = 1  #: neither a body that is competent nor a parent has a contact that works
    FALLEN = 2  #: it falls to a parent, or to a wider place
    UNVERIFIED = 3  #: the contacts are unverified or stale
    COVERED = 4


@dataclass(frozen=True, slots=True)
class Matter:
    """The subject of an appeal: a topic or a direction, and where."""

    subject: Subject
    code: str
    region: str = ""
    district: str = ""


@dataclass(frozen=True, slots=True)
class Competence:
    """The competent bodies of a matter and, where they cannot be reached, whom it falls to.

    `bodies` are competent and `passed` those of them, and their parents, without a contact that
    works; `named` have one. `code` is the topic or direction by which: of a topic it may be
    the wider one. `commissioners` are to be named beside (R6), the nearest first.
    """

    matter: Matter
    coverage: Coverage
    code: str = ""
    place: Place = Place.COUNTRY
    bodies: tuple[Body, ...] = ()
    passed: tuple[Body, ...] = ()
    named: tuple[Body, ...] = ()
    commissioners: tuple[Body, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """A direction in some regions that no verified contact of the same bodies covers."""

    direction: str
    coverage: Coverage
    bodies: tuple[Body, ...]
    regions: tuple[Option, ...]


def find_competence(directory: Directory, form: Form, matter: Matter, now: datetime) -> Competence:
    """The bodies that are competent for a matter today."""
    found = {code: list(_places(directory, matter, code, now)) for code in _codes(form, matter)}
    advising = [
        body for places in found.values() for _, there in places for body in there if _advises(body)
    ]
    commissioners = tuple(dict.fromkeys(advising))
    for code, places in found.items():
        competent = [
            (place, bodies)
            for place, there in places
            if (bodies := [body for body in there if not _advises(body)])
        ]
        if competent:
            return _resolve(directory, matter, code, competent, commissioners, now)
    return Competence(matter, Coverage.NOBODY, commissioners=commissioners)


def matters_of(
    form: Form, topics: Sequence[str], directions: Sequence[str], region: str, district: str
) -> list[Matter]:
    """The matters of an appeal: each of its topics and directions that the form has, there."""
    return [
        Matter(subject, code, region, district)
        for subject, codes in ((Subject.TOPIC, topics), (Subject.DIRECTION, directions))
        for code in codes
        if form.option(subject.value, code) is not None
    ]


def coverage_table(
    directory: Directory, form: Form, now: datetime
) -> list[tuple[Option, list[Competence]]]:
    """Competence of each region in each of the 13 directions of point 10 of the Rules."""
    return [
        (
            region,
            [
                find_competence(
                    directory, form, Matter(Subject.DIRECTION, direction.code, region.code), now
                )
                for direction in _active(form, "direction")
            ],
        )
        for region in _active(form, "region")
    ]


def list_holes(table: Sequence[tuple[Option, list[Competence]]]) -> list[Hole]:
    """Cells that no verified contact covers, each direction once for the same bodies."""
    regions: dict[tuple[str, Coverage, tuple[Body, ...]], list[Option]] = {}
    for region, row in table:
        for each in row:
            if each.coverage is not Coverage.COVERED:
                key = (each.matter.code, each.coverage, each.bodies)
                regions.setdefault(key, []).append(region)
    holes = [Hole(*key, tuple(where)) for key, where in regions.items()]
    return sorted(holes, key=lambda hole: hole.coverage)


def topics_without_body(directory: Directory, form: Form, now: datetime) -> list[Option]:
    """Topics for which no body of the country is competent."""
    return [
        topic
        for topic in _active(form, "topics")
        if not find_competence(directory, form, Matter(Subject.TOPIC, topic.code), now).bodies
    ]


def _active(form: Form, key: str) -> list[Option]:
    return [option for option in form.options(key) if option.active]


def _codes(form: Form, matter: Matter) -> list[str]:
    """The code of a matter, then that of the topic that it is a part of."""
    option = form.option(matter.subject.value, matter.code)
    wider = option.parent if option is not None else ""
    return [code for code in (matter.code, wider) if code]


def _places(
    directory: Directory, matter: Matter, code: str, now: datetime
) -> Iterator[tuple[Place, list[Body]]]:
    """Places from the narrow to the wide, each with its bodies in force that have this code."""
    today = now.astimezone(ZONE).date()
    for place, where in (
        (Place.DISTRICT, (matter.region, matter.district) if matter.district else None),
        (Place.REGION, (matter.region, "") if matter.region else None),
        (Place.COUNTRY, ("", "")),
    ):
        found = directory.by_place.get(where, []) if where is not None else []
        yield (
            place,
            [
                body
                for body in found
                if body.is_in_force(today)
                if code in (body.topics if matter.subject is Subject.TOPIC else body.directions)
            ],
        )


def _advises(body: Body) -> bool:
    """A commissioner does not take the place of the competent body, and is named beside it."""
    return body.kind is BodyKind.COMMISSIONER


def _resolve(
    directory: Directory,
    matter: Matter,
    code: str,
    competent: Sequence[tuple[Place, list[Body]]],
    commissioners: tuple[Body, ...],
    now: datetime,
) -> Competence:
    place, bodies = competent[0]
    passed: dict[str, Body] = {}
    named: list[Body] = []
    for _, there in competent:
        named = [body for body in there if body.usable(now)]
        passed |= {body.code: body for body in there if not body.usable(now)}
        named = named or _parents_with_contact(directory, there, passed, now)
        if named:
            break
    return Competence(
        matter,
        _coverage(bodies, named, now),
        code,
        place,
        tuple(bodies),
        tuple(passed.values()),
        tuple(named),
        commissioners,
    )


def _parents_with_contact(
    directory: Directory, bodies: Sequence[Body], passed: dict[str, Body], now: datetime
) -> list[Body]:
    """The nearest parent of each that has a contact; those in between are passed over."""
    today = now.astimezone(ZONE).date()
    found: dict[str, Body] = {}
    for body in bodies:
        for parent in directory.parents(body):
            if not parent.is_in_force(today):
                continue
            if parent.usable(now):
                found[parent.code] = parent
                break
            passed[parent.code] = parent
    return list(found.values())


def _coverage(bodies: Sequence[Body], named: Sequence[Body], now: datetime) -> Coverage:
    if not named:
        return Coverage.NO_CONTACT
    own = [body for body in named if body in bodies]
    if not own:
        return Coverage.FALLEN
    verified = any(
        contact.state(now) is ContactState.VERIFIED for body in own for contact in body.contacts
    )
    return Coverage.COVERED if verified else Coverage.UNVERIFIED
