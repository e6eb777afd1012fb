"""Whatever is written can be stored and shown, and says what it said."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from callcenter.intake.rules.messages import clean
from callcenter.intake.rules.queue import (
    WrittenContact,
    WrittenQueue,
    due_at,
    may_be_offered,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
READABLE = "Күйеуі ұрады 😢\n\tкөмектесіңіз"


def contact(*, is_read: bool) -> WrittenContact:
    return WrittenContact(
        number="2600000014",
        channel="portal",
        language="kk",
        skill=None,
        is_urgent=False,
        queued_at=NOW,
        due_at=NOW,
        holder="a",
        offered_until=None if is_read else NOW + timedelta(seconds=1),
        read_at=NOW if is_read else None,
        returns=0,
    )


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_stored_and_is_cleaned_once(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.encode().decode() == cleaned
    assert not set(cleaned) & set("\0\r\x1b\u2028\u202e\ufeff")
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=())))
def test_readable_words_are_never_cut(text: str) -> None:
    assert READABLE in clean(f"{text} {READABLE} {text}")


def test_danger_is_to_be_read_at_once() -> None:
    goal = timedelta(hours=1)
    assert due_at(NOW, goal, is_urgent=True) == NOW
    assert due_at(NOW, goal, is_urgent=False) == NOW + goal


def test_only_the_free_who_read_all_get_more() -> None:
    read, unread = contact(is_read=True), contact(is_read=False)
    assert may_be_offered(is_free=True, held=[read], capacity=2)
    assert not may_be_offered(is_free=False, held=[], capacity=2)
    assert not may_be_offered(is_free=True, held=[unread], capacity=2)
    assert not may_be_offered(is_free=True, held=[read, read], capacity=2)
    assert unread.is_offered(NOW)
    assert not unread.is_offered(NOW + timedelta(seconds=1))


def test_what_is_unread_stands_before_what_is_in_hand() -> None:
    read, unread = contact(is_read=True), contact(is_read=False)
    assert WrittenQueue(held=[read, unread, read]).held_by("a") == (unread, read, read)
    assert WrittenQueue(held=[read, unread]).held_by("b") == ()
