"""Safe contact: whose word counts, about what, and at which hours."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.appeals.contact.rules import (
    EVERY,
    SOMEBODY,
    AppealNumbers,
    ContactHours,
    ContactMeans,
    ContactWish,
    check_wish,
    judge,
    lifts,
    make_wish,
    wishes_of_field,
)
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE

NOON = datetime(2026, 11, 27, 12, tzinfo=ZONE)
OWN, HOME = "+77012345667", "+77172123456"
MORNING = ContactHours(time(9), time(11))
NIGHT = ContactHours(time(22), time(6))


def said(
    allowed: bool,
    minutes: int = 0,
    *,
    person: str = SOMEBODY,
    number: str | None = None,
    channel: str = EVERY,
    hours: ContactHours | None = None,
) -> ContactWish:
    at = NOON - timedelta(days=1) + timedelta(minutes=minutes)
    return ContactWish(person, number, channel, allowed, at, hours)


any_hours = st.builds(ContactHours, st.times(), st.times()).filter(
    lambda each: each.start != each.end
)


@st.composite
def wishes(draw: st.DrawFn) -> ContactWish:
    allowed = draw(st.booleans())
    return said(
        allowed,
        draw(st.integers(0, 600)),
        person=draw(st.sampled_from([SOMEBODY, "applicant", "affected1"])),
        number=draw(st.sampled_from([None, OWN])),
        channel=draw(st.sampled_from([EVERY, *ContactMeans])),
        hours=draw(st.none() | any_hours) if allowed else None,
    )


histories = st.lists(wishes(), max_size=8)
channels = st.sampled_from(list(ContactMeans))
moments = st.datetimes(timezones=st.just(UTC))


@given(histories, channels, st.sampled_from(["applicant", "affected1", SOMEBODY]))
def test_a_refusal_that_comes_last_always_binds(
    history: list[ContactWish], channel: str, person: str
) -> None:
    for scope in ({}, {"number": OWN}, {"channel": channel}):
        last = said(False, 1000, person=person, **scope)  # type: ignore[arg-type]
        assert judge([*history, last], channel, NOON).allowed is False


@given(histories, channels)
def test_a_permission_of_the_number_that_comes_last_opens_it(
    history: list[ContactWish], channel: str
) -> None:
    opening = said(True, 1000, number=OWN, channel=channel)
    assert judge([*history, opening], channel, NOON).allowed


@given(histories, channels)
def test_what_is_said_about_another_channel_changes_nothing(
    history: list[ContactWish], channel: str
) -> None:
    others = [each for each in history if each.channel in (EVERY, channel)]
    assert judge(history, channel, NOON) == judge(others, channel, NOON)


@given(histories, channels)
def test_the_order_in_which_words_are_read_changes_nothing(
    history: list[ContactWish], channel: str
) -> None:
    numbered = [
        ContactWish(e.person, e.number, e.channel, e.allowed, e.at, e.hours, id=place)
        for place, e in enumerate(history)
    ]
    assert judge(numbered, channel, NOON) == judge(numbered[::-1], channel, NOON)


@given(histories, channels, moments)
def test_a_contact_that_waits_is_allowed_when_its_time_comes(
    history: list[ContactWish], channel: str, at: datetime
) -> None:
    verdict = judge(history, channel, at)
    if verdict.not_before is not None:
        assert verdict.not_before > at
        assert judge(history, channel, verdict.not_before).allowed


@given(any_hours, moments)
def test_hours_begin_again_after_any_moment(hours: ContactHours, at: datetime) -> None:
    start = hours.next_start(at)
    assert timedelta() < start - at <= timedelta(days=1)
    assert hours.covers(start)


def test_who_said_nothing_may_be_reached() -> None:
    assert judge([], ContactMeans.CALL, NOON).allowed


def test_a_closed_number_is_not_opened_by_a_general_word() -> None:
    closed, general = said(False, number=HOME), said(True, 1)
    assert not judge([closed, general], ContactMeans.CALL, NOON).allowed
    opened = said(True, 2, number=HOME)
    assert judge([closed, general, opened], ContactMeans.CALL, NOON).allowed


def test_one_person_does_not_speak_for_another() -> None:
    child, mother = said(False, person="affected1"), said(True, 1, person="applicant")
    assert not judge([child, mother], ContactMeans.CALL, NOON).allowed
    by_key = said(True, 2, number=OWN, channel=ContactMeans.CALL)
    assert judge([child, mother, by_key], ContactMeans.CALL, NOON).allowed


def test_hours_say_from_when_and_may_pass_midnight() -> None:
    verdict = judge([said(True, hours=MORNING)], ContactMeans.CALL, NOON)
    assert (verdict.allowed, verdict.not_before) == (False, NOON + timedelta(hours=21))
    assert judge([said(True, hours=NIGHT)], ContactMeans.CALL, NOON).not_before == (
        NOON + timedelta(hours=10)
    )
    assert judge([said(True, hours=NIGHT)], ContactMeans.CALL, NOON + timedelta(hours=13)).allowed


def test_hours_that_never_meet_are_a_refusal() -> None:
    both = [
        said(True, hours=MORNING, person="applicant"),
        said(True, hours=NIGHT, person="reporter"),
    ]
    assert judge(both, ContactMeans.CALL, NOON).not_before is None
    assert not judge(both, ContactMeans.CALL, NOON).allowed


@pytest.mark.parametrize(
    ("chosen", "open_ways"),
    [
        (["call", "email"], {"call", "email"}),
        ("sms", {"sms"}),
        (["none"], set()),
        (["none", "call"], set()),
        (None, {"call", "sms", "email", "letter"}),
    ],
)
def test_safe_ways_of_the_record_close_all_others(
    chosen: str | list[str] | None, open_ways: set[str]
) -> None:
    words = wishes_of_field("applicant", chosen, NOON, "user:a")
    words = [
        ContactWish(w.person, None, w.channel, w.allowed, w.at, id=n) for n, w in enumerate(words)
    ]
    assert {each for each in ContactMeans if judge(words, each, NOON).allowed} == open_ways


@pytest.mark.parametrize(
    ("person", "number", "concerned"),
    [
        (SOMEBODY, OWN, True),
        (SOMEBODY, HOME, True),  # of the child on whose behalf somebody called
        (SOMEBODY, "+77019990000", False),  # of the accused
        ("applicant", OWN, True),
        ("applicant", HOME, False),
        ("affected1", HOME, True),
        ("affected1", OWN, False),  # the applicant called
        ("accused1", OWN, False),
        ("applicant", "+77015550000", True),  # on the appeal where nobody may see it
    ],
)
def test_a_wish_about_all_numbers_covers_the_persons(
    person: str, number: str, concerned: bool
) -> None:
    content = {
        "applicant.name": "A",
        "affected1.phone": "8 7172 12 34 56",
        "accused1.phone": "8 701 999 00 00",
    }
    assert AppealNumbers.of(OWN, content).concern(person, number) is concerned


def test_who_suffers_and_called_alone_is_the_caller() -> None:
    assert AppealNumbers.of(OWN, {"affected1.name": "T"}).concern("affected1", OWN)


def wish(
    person: str = "",
    number: str | None = None,
    hours: tuple[time | None, time | None] = (None, None),
    *,
    allowed: bool = True,
) -> ContactWish:
    return make_wish(person, number, EVERY, allowed=allowed, at=NOON, hours=hours)


def test_a_number_is_chosen_by_whose_it_is_or_typed() -> None:
    numbers_on_it = AppealNumbers.of(OWN, {"applicant.phone": "8 7172 123456"})
    numbers = [
        check_wish(wish(number=each), numbers_on_it).number
        for each in ("caller", "applicant", "8 (701) 234-56-67", None)
    ]
    assert numbers == [OWN, HOME, OWN, None]


@pytest.mark.parametrize(
    "wrong",
    [
        wish("affected1"),
        wish(number="102"),
        wish(number="caller"),
        wish(number="x"),
        wish(hours=(time(9), time(9))),
        wish(hours=(time(9), None), allowed=False),
    ],
)
def test_a_word_that_says_nothing_is_refused(wrong: ContactWish) -> None:
    with pytest.raises(InvalidRequest):
        check_wish(wrong, AppealNumbers.of(None, {}))


@pytest.mark.parametrize(
    ("wish", "lifted"),
    [
        (said(True, 9), True),
        (said(True, 9, channel=ContactMeans.SMS), True),
        (said(True, 9, channel=ContactMeans.EMAIL), False),
        (said(True, 9, hours=MORNING, channel=ContactMeans.SMS), True),
        (said(True, 9, person="applicant"), False),
        (said(False, 9), False),
    ],
)
def test_a_wish_lifts_what_it_replaces(wish: ContactWish, lifted: bool) -> None:
    words = [said(False, channel=ContactMeans.SMS), said(True, 1, channel=ContactMeans.EMAIL)]
    assert lifts(wish, words) is lifted


@given(st.lists(wishes()), wishes())
def test_nothing_is_opened_but_by_a_wish_that_lifts(
    history: list[ContactWish], wish: ContactWish
) -> None:
    later = replace(wish, at=NOON)
    if not lifts(later, history):
        for channel in ContactMeans:
            before = judge(history, channel, NOON).allowed
            assert before or not judge([*history, later], channel, NOON).allowed
