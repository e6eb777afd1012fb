"""What a consultant is doing now: the states, the moves between them, and why no call comes.

The desk (`states.lua`) makes the moves; it is given the table of this module and refuses others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from callcenter.errors import AskedWrongly


class State(StrEnum):
    """The state of a consultant. Names are kept in the database: never rename one."""

    SIGNED_OUT = "signed_out"  #: not at work
    READY = "ready"  #: at work, and offered calls while the telephone is free
    OFFERED = "offered"  #: a caller has been given to this consultant, the telephone rings next
    RINGING = "ringing"  #: the telephone rings
    TALKING = "talking"  #: with a caller, or calling somebody
    WRAP_UP = "wrap_up"  #: after a conversation, for a set time that the consultant may end
    PAUSED = "paused"  #: at work, and offered nothing; the reason says why


_FREE = frozenset({State.READY, State.PAUSED, State.SIGNED_OUT})

#: Every move that there is. An offer may go over to any later state, for a word may be lost. Who
#: is at work and not engaged may call somebody.
MOVES: Mapping[State, frozenset[State]] = {
    State.SIGNED_OUT: frozenset({State.READY}),
    State.READY: frozenset({State.OFFERED, State.TALKING, State.PAUSED, State.SIGNED_OUT}),
    State.OFFERED: _FREE | {State.RINGING, State.TALKING, State.WRAP_UP},
    State.RINGING: _FREE | {State.TALKING, State.WRAP_UP},
    State.TALKING: _FREE | {State.WRAP_UP},
    State.WRAP_UP: _FREE | {State.TALKING},
    State.PAUSED: frozenset({State.READY, State.TALKING, State.SIGNED_OUT}),
}

#: With a caller, or about to be: what is asked for now comes afterwards, or ends the offer.
ENGAGED = frozenset({State.OFFERED, State.RINGING, State.TALKING})
#: What a consultant may ask for, and a supervisor for somebody else.
ASKABLE = frozenset({State.READY, State.PAUSED, State.SIGNED_OUT})

MISSED = "missed"  #: the reason of a pause: two offers in a row were not answered
PAGE_GONE = "page_gone"  #: the reason of a pause: the page by which they work is not open any more
ASKED = "asked"  #: the reason of being signed out: somebody asked for it
TELEPHONE = "telephone"  #: the reason of being signed out: the telephone is not registered

_UNREGISTERED = frozenset({"UNAVAILABLE", "INVALID", "UNKNOWN", ""})


class IllegalMove(AskedWrongly):
    """The consultant cannot go over to that state from this one."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"a consultant who is {before} cannot become {after}")


def check_move(before: State, after: State) -> None:
    """Raises IllegalMove that names both, unless there is such a move."""
    if after not in MOVES[before]:
        raise IllegalMove(before, after)


@dataclass(frozen=True, slots=True)
class Duty:
    """A consultant as the desk knows one now.

    `since` is in epoch seconds; `by` is `self`, `desk` or `user:NAME`; `telephone` is the device
    state as Asterisk names it, empty when it was never told; `after` is what the consultant will
    be when the conversation ends, if that was asked for.
    """

    extension: str
    state: State
    since: float
    reason: str | None
    by: str
    telephone: str
    after: State | None
    resting: bool


def why_no_calls(duty: Duty) -> str | None:
    """Why this consultant is offered no call: None for one who is, else one word.

    A state, or of one who is ready: `telephone_not_registered`, `telephone_in_use` or `resting`
    (for some seconds after an offer that was not answered).
    """
    if duty.state is not State.READY:
        return duty.state.value
    if duty.telephone in _UNREGISTERED:
        return "telephone_not_registered"
    if duty.telephone != "NOT_INUSE":
        return "telephone_in_use"
    return "resting" if duty.resting else None
