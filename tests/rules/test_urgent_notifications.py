"""Urgent notifications: their moves, when they are escalated, and which number is called next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from callcenter.bodies.rules.competence import Matter, Subject, find_competence
from callcenter.bodies.rules.directory import Body, BodyContact, BodyKind, ContactMethod, Directory
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.urgent_notifications.alerts import LEVELS
from callcenter.urgent_notifications.rules.numbers import (
    choose_bodies,
    list_numbers,
    order_numbers,
)
from callcenter.urgent_notifications.rules.states import (
    OPEN,
    RESULTS,
    IllegalNotificationStep,
    NotificationFacts,
    NotificationState,
    NotificationStep,
    check_facts,
    count_levels,
    move_notification,
)
from tests.rules.test_bodies import FAILED, FORM, NOW, NUMBER, TODAY, body

DUTY = BodyContact(ContactMethod.DUTY, "8 7172 71 61 00")
LIMITS = Settings(_env_file=None).urgent_escalations


def anybody(_number: str) -> bool:
    return True


def legal() -> dict[tuple[NotificationStep, NotificationState], NotificationState]:
    found = {}
    for step in NotificationStep:
        for state in NotificationState:
            try:
                found[step, state] = move_notification(state, step)
            except IllegalNotificationStep:
                continue
    return found


def test_the_last_mile_ends_only_what_was_taken() -> None:
    moves = legal()
    for step in RESULTS:
        from_here = {state for (each, state) in moves if each is step}
        assert from_here == {NotificationState.TAKEN}
    ended = {after for after in moves.values() if after not in OPEN}
    assert ended == set(NotificationState) - set(OPEN)
    assert not {state for _, state in moves} & ended  # nothing follows an end


def test_nothing_is_escalated_once_somebody_took_it() -> None:
    calling = {NotificationStep.NOT_TAKEN, NotificationStep.ESCALATED, NotificationStep.JOINED}
    taken = {step for step, state in legal() if state is NotificationState.TAKEN}
    assert not taken & calling
    assert all((step, NotificationState.CALLING) in legal() for step in calling)


def test_levels_are_due_after_five_fifteen_and_thirty_minutes() -> None:
    assert len(LIMITS) == len(LEVELS)
    begun_at = NOW
    for minutes, levels in ((0, 0), (4.99, 0), (5, 1), (14.99, 1), (15, 2), (30, 3), (600, 3)):
        assert count_levels(begun_at, begun_at + timedelta(minutes=minutes), LIMITS) == levels


@pytest.mark.parametrize(
    ("step", "facts"),
    [
        (NotificationStep.TAKEN, NotificationFacts(name="Ахметов")),
        (NotificationStep.TAKEN, NotificationFacts(post="дежурный")),
        (NotificationStep.TAKEN, NotificationFacts(name="Ахметов\nА.", post="дежурный")),
        (NotificationStep.TAKEN, NotificationFacts(name="А" * 201, post="дежурный")),
        (NotificationStep.NOT_REACHED, NotificationFacts(" ")),
        (NotificationStep.REACHED, NotificationFacts("да\x00")),
        (NotificationStep.DECLINED, NotificationFacts("а" * 2001)),
    ],
)
def test_a_step_without_its_facts_is_refused(
    step: NotificationStep, facts: NotificationFacts
) -> None:
    with pytest.raises(InvalidRequest):
        check_facts(step, facts)


def test_the_next_number_needs_no_reason() -> None:
    assert check_facts(NotificationStep.NOT_TAKEN, NotificationFacts()) == NotificationFacts()
    taken = check_facts(NotificationStep.TAKEN, NotificationFacts("", " Ахметов А. ", "дежурный"))
    assert taken == NotificationFacts("", "Ахметов А.", "дежурный")


def test_duty_numbers_go_first_and_failed_ones_are_left_out() -> None:
    further = replace(NUMBER, value="112")
    found = list_numbers(
        body("police", NUMBER, DUTY, further, replace(DUTY, value="103")), NOW, anybody
    )
    assert found == ["+77172716100", "103", "102", "112"]
    failed = replace(DUTY, failed_at=NOW, failure="an office")
    mail = BodyContact(ContactMethod.EMAIL, "a@b.kz")
    same = replace(DUTY, value="102")
    assert list_numbers(body("police", FAILED, failed, mail, NUMBER, same), NOW, anybody) == ["102"]
    refused = list_numbers(body("police", NUMBER, DUTY), NOW, lambda number: number == "102")
    assert refused == ["102"]


def test_a_number_that_was_tried_waits_for_the_others() -> None:
    numbers = ["1", "2", "3"]
    assert order_numbers(numbers, []) == numbers
    assert order_numbers(numbers, ["1", "1", "9"]) == ["2", "3", "1"]
    assert order_numbers(numbers, ["3", "1", "2"]) == ["3", "1", "2"]
    assert order_numbers(numbers, ["1", "2", "3", "1"]) == ["2", "3", "1"]


def test_a_body_without_a_number_gives_way_upwards() -> None:
    ministry = body("ministry", NUMBER)
    mail = BodyContact(ContactMethod.EMAIL, "a@b.kz")  # works, and calls nobody
    office = body("office", mail, parent="ministry", directions=("order",), region="north")
    commissioner = replace(
        body("commissioner", DUTY, directions=("order",)), kind=BodyKind.COMMISSIONER
    )

    def chosen(*bodies: Body) -> list[str]:
        directory = Directory(bodies)
        matter = Matter(Subject.DIRECTION, "order", "north")
        competence = find_competence(directory, FORM, matter, NOW)
        return [each.code for each in choose_bodies(directory, [competence], NOW, anybody)]

    assert chosen(ministry, office, commissioner) == ["ministry", "commissioner"]
    reachable = replace(office, contacts=(DUTY,))
    assert chosen(ministry, reachable, commissioner) == ["office", "commissioner"]
    assert chosen(replace(ministry, ended_on=TODAY), office) == []
