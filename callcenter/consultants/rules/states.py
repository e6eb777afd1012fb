"""Presence states of a consultant, their transitions, and why no call is offered.

The ACD (`states.lua`) makes the transitions; it is given the table of this module and refuses
others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from callcenter.platform.core.errors import InvalidRequest


class PresenceState(StrEnum):
    """The state of a consultant. Values are stored in the database: never rename one."""

    SIGNED_OUT = "signed_out"  #: not at work
    READY = "ready"  #: at work, and offered calls while the telephone is free
    OFFERED = "offered"  #: a caller has been given to this consultant, the telephone rings next
    RINGING = "ringing"  #: the telephone rings
    TALKING = "talking"  #: with a caller, or calling somebody
    WRAP_UP = "wrap_up"  #: after a conversation, for a set time that the consultant may end
    PAUSED = "paused"  #: at work, and offered nothing; the reason says why


_FREE = frozenset({PresenceState.READY, PresenceState.PAUSED, PresenceState.SIGNED_OUT})

#: Every legal transition. An offer may go over to any later state, for an event may be lost. A
#: consultant at work who is not engaged may make a call.
MOVES: Mapping[PresenceState, frozenset[PresenceState]] = {
    PresenceState.SIGNED_OUT: frozenset({PresenceState.READY}),
    PresenceState.READY: frozenset(
        {
            PresenceState.OFFERED,
            PresenceState.TALKING,
            PresenceState.PAUSED,
            PresenceState.SIGNED_OUT,
        }
    ),
    PresenceState.OFFERED: _FREE
    | {PresenceState.RINGING, PresenceState.TALKING, PresenceState.WRAP_UP},
    PresenceState.RINGING: _FREE | {PresenceState.TALKING, PresenceState.WRAP_UP},
    PresenceState.TALKING: _FREE | {PresenceState.WRAP_UP},
    PresenceState.WRAP_UP: _FREE | {PresenceState.TALKING},
    PresenceState.PAUSED: frozenset(
        {PresenceState.READY, PresenceState.TALKING, PresenceState.SIGNED_OUT}
    ),
}

#: With a caller, or about to be: a requested state comes afterwards, or ends the offer.
ENGAGED = frozenset({PresenceState.OFFERED, PresenceState.RINGING, PresenceState.TALKING})


MISSED = "missed"  #: the reason of a pause: two offers in a row were not answered
PAGE_GONE = "page_gone"  #: the reason of a pause: the workspace page was closed
RECOVERY = "recovery"  #: the reason of a pause after a hard call, which figures count as none
ON_REQUEST = "asked"  #: the reason of being signed out: on request
TELEPHONE = "telephone"  #: the reason of being signed out: the telephone is not registered

_UNREGISTERED = frozenset({"UNAVAILABLE", "INVALID", "UNKNOWN", ""})


class IllegalPresenceChange(InvalidRequest):
    """The consultant cannot go over to that state from this one."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"a consultant who is {before} cannot become {after}")


def is_recovery(state: PresenceState, reason: str | None) -> bool:
    """Whether somebody recovers from a hard call: part of the work, and no pause in figures."""
    return (state, reason) == (PresenceState.PAUSED, RECOVERY)


def check_move(before: PresenceState, after: PresenceState) -> None:
    """Raise IllegalPresenceChange that names both, unless there is such a move."""
    if after not in MOVES[before]:
        raise IllegalPresenceChange(before, after)


@dataclass(frozen=True, slots=True)
class PresenceStatus:
    """The presence of a consultant in the ACD now.

    `since` is in epoch seconds; `by` is `self`, `desk` or `user:NAME`; `telephone` is the device
    state as Asterisk names it, empty when it is unknown; `after` is what the consultant will
    be when the conversation ends, if that was asked for.
    """

    extension: str
    state: PresenceState
    since: float
    reason: str | None
    by: str
    telephone: str
    after: PresenceState | None
    resting: bool


def why_no_calls(status: PresenceStatus) -> str | None:
    """The cause, in one word, that no call is offered; None: calls are offered.

    A state, or of one who is ready: `telephone_not_registered`, `telephone_in_use` or `resting`
    (for some seconds after an offer that was not answered).
    """
    if status.state is not PresenceState.READY:
        return status.state.value
    if status.telephone in _UNREGISTERED:
        return "telephone_not_registered"
    if status.telephone != "NOT_INUSE":
        return "telephone_in_use"
    return "resting" if status.resting else None
