"""Who is competent: the narrower place first, and visibly the next one where nobody is reached."""

from dataclasses import replace
from datetime import timedelta

import pytest

from callcenter.bodies.rules.competence import (
    Competence,
    Coverage,
    Matter,
    Place,
    Subject,
    coverage_table,
    find_competence,
    list_holes,
    topics_without_body,
)
from callcenter.bodies.rules.directory import Body, BodyContact, BodyKind, Directory
from tests.rules.test_bodies import FAILED, FORM, NOW, NUMBER, TODAY, VERIFIED, body


def competence(
    *bodies: Body, code: str = "order", region: str = "north", district: str = ""
) -> Competence:
    subject = Subject.DIRECTION if FORM.option("direction", code) else Subject.TOPIC
    matter = Matter(subject, code, region, district)
    return find_competence(Directory(bodies), FORM, matter, NOW)


def codes(bodies: tuple[Body, ...]) -> list[str]:
    return [each.code for each in bodies]


def test_the_body_of_the_narrower_place_is_competent() -> None:
    country = body("country", VERIFIED, directions=("order",))
    north = body("north", VERIFIED, directions=("order",), region="north")
    hill = body("hill", VERIFIED, directions=("order",), region="north", district="hill")
    found = competence(country, north, hill, district="hill")
    assert (codes(found.bodies), found.place) == (["hill"], Place.DISTRICT)
    found = competence(country, north, hill)
    assert (codes(found.bodies), found.place) == (["north"], Place.REGION)
    found = competence(country, north, hill, region="south")
    assert (codes(found.named), found.place) == (["country"], Place.COUNTRY)
    assert found.coverage is Coverage.COVERED


@pytest.mark.parametrize("contacts", [(), (FAILED,)])
def test_a_hole_falls_to_the_parent_visibly(contacts: tuple[BodyContact, ...]) -> None:
    akimat = body("akimat", NUMBER, region="north")
    own = body("own", *contacts, directions=("order",), region="north", parent="akimat")
    found = competence(akimat, own)
    assert codes(found.bodies) == codes(found.passed) == ["own"]
    assert codes(found.named) == ["akimat"]
    assert found.coverage is Coverage.FALLEN


def test_a_hole_without_reachable_parents_falls_to_the_country() -> None:
    akimat = body("akimat", region="north")
    own = body("own", directions=("order",), region="north", parent="akimat")
    country = body("country", VERIFIED, directions=("order",))
    found = competence(akimat, own, country)
    assert codes(found.bodies) == ["own"]
    assert codes(found.passed) == ["own", "akimat"]
    assert (codes(found.named), found.coverage) == (["country"], Coverage.FALLEN)
    found = competence(akimat, own, replace(country, contacts=()))
    assert codes(found.passed) == ["own", "akimat", "country"]
    assert (found.named, found.coverage) == ((), Coverage.NO_CONTACT)


def test_an_ended_body_is_neither_competent_nor_fallen_back_to() -> None:
    ended = body("ended", VERIFIED, directions=("order",), ended_on=TODAY)
    assert competence(ended).coverage is Coverage.NOBODY
    assert competence(replace(ended, ended_on=TODAY + timedelta(days=1))).named
    own = body("own", directions=("order",), parent="above")
    assert competence(own, replace(ended, code="above", directions=())).named == ()


def test_a_part_of_a_topic_falls_to_the_wider() -> None:
    whole = body("whole", VERIFIED, topics=("violence",), region="north")
    found = competence(whole, code="beating")
    assert (codes(found.bodies), found.code) == (["whole"], "violence")
    part = body("part", VERIFIED, topics=("beating",))
    assert codes(competence(whole, part, code="beating").bodies) == ["part"]


def test_a_commissioner_is_named_beside_and_never_instead() -> None:
    commissioner = body(
        "commissioner",
        VERIFIED,
        directions=("children",),
        region="north",
        kind=BodyKind.COMMISSIONER,
    )
    alone = competence(commissioner, code="children")
    assert (alone.coverage, codes(alone.commissioners)) == (Coverage.NOBODY, ["commissioner"])
    ministry = body("ministry", NUMBER, directions=("children",))
    found = competence(commissioner, ministry, code="children")
    assert (codes(found.bodies), codes(found.commissioners)) == (["ministry"], ["commissioner"])
    assert found.coverage is Coverage.UNVERIFIED


def test_a_commissioner_for_a_topic_is_named_beside_its_parts() -> None:
    police = body("police", VERIFIED, topics=("beating",))
    advising = body("advising", VERIFIED, topics=("violence",), kind=BodyKind.COMMISSIONER)
    found = competence(police, advising, code="beating")
    assert (codes(found.bodies), codes(found.commissioners)) == (["police"], ["advising"])


def test_every_cell_is_covered_or_on_the_list_of_holes() -> None:
    police = body("police", VERIFIED, directions=("order",))
    north = body("north", directions=("order", "children"), region="north")
    table = coverage_table(Directory([police, north]), FORM, NOW)
    assert [(region.code, [each.coverage for each in row]) for region, row in table] == [
        ("north", [Coverage.FALLEN, Coverage.NO_CONTACT]),
        ("south", [Coverage.COVERED, Coverage.NOBODY]),
    ]
    holes = {
        (each.direction, *(where.code for where in each.regions)) for each in list_holes(table)
    }
    assert holes == {("order", "north"), ("children", "north"), ("children", "south")}
    topics = topics_without_body(Directory([body("one", topics=("violence",))]), FORM, NOW)
    assert [each.code for each in topics] == ["housing"]
