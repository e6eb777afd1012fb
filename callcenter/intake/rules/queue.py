"""The queue of written contacts beside calls: who gets the next one, and until when.

A contact takes up a part of a consultant's capacity and never a telephone: a call is offered to
whoever has contacts in hand as to anybody else.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Of waiting, for each contact that a consultant has in hand: whoever has fewer is first.
HEAD_START_INTERVAL = timedelta(seconds=2)
#: In which a contact is not offered again to somebody who did not read it, or gave it back.
NOT_AGAIN_INTERVAL = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ContactReader:
    """A user who may be offered written contacts, with languages and skills."""

    user: str
    languages: Sequence[str]
    skills: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class WrittenContact:
    """An appeal of which something is to be read, or that somebody has in hand.

    It is offered to its `holder` until then, unless it was read; it went back to the queue as many
    times as it has `returns`.
    """

    number: str
    channel: str
    language: str
    skill: str | None
    is_urgent: bool
    queued_at: datetime
    due_at: datetime
    holder: str | None
    offered_until: datetime | None
    read_at: datetime | None
    returns: int

    @property
    def is_in_hand(self) -> bool:
        """Whether its holder has read all of it."""
        return self.read_at is not None

    def is_offered(self, now: datetime) -> bool:
        """Whether it waits for its holder alone."""
        return self.read_at is None and self.offered_until is not None and now < self.offered_until


@dataclass(frozen=True, slots=True)
class WrittenQueue:
    """The queue at one moment: how many nobody has read, and those that somebody has.

    Of the waiting so many are `urgent` and so many `overdue`; the longest waits since `oldest`.
    """

    waiting: int = 0
    urgent: int = 0
    overdue: int = 0
    oldest: datetime | None = None
    held: Sequence[WrittenContact] = ()

    def held_by(self, user: str) -> Sequence[WrittenContact]:
        """The contacts that are offered to somebody, then those in hand."""
        of_user = (each for each in self.held if each.holder == user)
        return tuple(sorted(of_user, key=lambda each: each.is_in_hand))


def due_at(received_at: datetime, goal: timedelta, *, is_urgent: bool) -> datetime:
    """The time by which a contact is to be read: at once, if the writer is in danger."""
    return received_at if is_urgent else received_at + goal


def may_be_offered(*, is_free: bool, held: Sequence[WrittenContact], capacity: int) -> bool:
    """Whether a consultant is offered another contact: between calls, one unread at a time."""
    return is_free and len(held) < capacity and all(each.is_in_hand for each in held)
