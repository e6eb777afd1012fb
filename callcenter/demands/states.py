"""The way of a demand (R17): its states, the legal moves, and who may make which."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from callcenter.errors import AskedWrongly


class State(StrEnum):
    """Where a demand stands. The names are kept in the database."""

    REGISTERED = "registered"  #: entered with its letter; nothing was searched yet
    FOUND = "found"  #: recordings are proposed and frozen, for the records officer to check
    CHECKED = "checked"  #: the records officer chose what is to be handed over
    RELEASED = "released"  #: a second person agreed: the bundle is made, and waits to be taken
    HANDED_OVER = "handed_over"  #: the authority has the bundle
    ACKNOWLEDGED = "acknowledged"  #: the authority has said that it is whole
    REFUSED = "refused"  #: nothing is handed over, for a ground that is told
    WITHDRAWN = "withdrawn"  #: the authority does not want it any more


class Step(StrEnum):
    """What is done to a demand, in the past tense: each leaves a row with author, time, reason."""

    REGISTERED = "registered"
    SEARCHED = "searched"
    CHECKED = "checked"
    RETURNED = "returned"  #: the second person sends it back to be checked again
    RELEASED = "released"
    OFFERED_AGAIN = "offered_again"  #: the bundle did not arrive, or its time ran out
    HANDED_OVER = "handed_over"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    HOLD_ENDED = "hold_ended"  #: retention may propose its recordings again


class Ground(StrEnum):
    """Why a demand is refused: what the Rules (6) do not provide for."""

    NOT_AUTHORISED = "not_authorised"  #: it is not from the authorised body
    NO_CONVERSATION = "no_conversation"  #: there is no such conversation
    NOT_OF_CONSULTANT = "not_of_consultant"  #: it is no conversation of a consultant


OVER = frozenset({State.ACKNOWLEDGED, State.REFUSED, State.WITHDRAWN})
#: Until then nothing was handed over, so the time that the demand sets runs.
RUNNING = frozenset({State.REGISTERED, State.FOUND, State.CHECKED, State.RELEASED})
_BEFORE_RELEASE = frozenset({State.REGISTERED, State.FOUND, State.CHECKED})

MOVES: Mapping[Step, tuple[frozenset[State], State]] = {
    Step.SEARCHED: (frozenset({State.REGISTERED, State.FOUND}), State.FOUND),
    Step.CHECKED: (frozenset({State.FOUND}), State.CHECKED),
    Step.RETURNED: (frozenset({State.CHECKED}), State.FOUND),
    Step.RELEASED: (frozenset({State.CHECKED}), State.RELEASED),
    Step.OFFERED_AGAIN: (frozenset({State.RELEASED, State.HANDED_OVER}), State.RELEASED),
    Step.HANDED_OVER: (frozenset({State.RELEASED}), State.HANDED_OVER),
    Step.ACKNOWLEDGED: (frozenset({State.HANDED_OVER}), State.ACKNOWLEDGED),
    Step.REFUSED: (_BEFORE_RELEASE, State.REFUSED),
    Step.WITHDRAWN: (RUNNING, State.WITHDRAWN),
    # The recordings are evidence for as long as somebody may come back to them.
    Step.HOLD_ENDED: (frozenset({State.ACKNOWLEDGED}), State.ACKNOWLEDGED),
}

#: Whoever did one of these has prepared the demand, and does not release it.
PREPARING = frozenset({Step.REGISTERED, Step.SEARCHED, Step.CHECKED})
#: What only somebody who did not prepare the demand may do.
OF_ANOTHER = frozenset({Step.RELEASED, Step.OFFERED_AGAIN})


class IllegalMove(AskedWrongly):
    """This cannot be done with the demand as it stands."""


class SamePerson(AskedWrongly):
    """Nobody releases what they prepared: somebody else has to."""


class NotAuthorised(AskedWrongly):
    """Recordings are opened for the authorised body alone (Rules, 6): refuse the demand."""


def move(state: State, step: Step) -> State:
    """The state after a step. Raises IllegalMove that names both."""
    sources, after = MOVES.get(step, (frozenset(), state))
    if state not in sources:
        raise IllegalMove(f"a demand that is {state} cannot be {step}")
    return after


def check_person(step: Step, who: str, preparers: Collection[str]) -> None:
    """Raises SamePerson when `who` prepared what this step would release."""
    if step in OF_ANOTHER and who in preparers:
        raise SamePerson


def check_sender(step: Step, *, from_authority: bool) -> None:
    """Raises NotAuthorised when this step opens recordings for somebody else."""
    if step in (Step.SEARCHED, Step.CHECKED, *OF_ANOTHER) and not from_authority:
        raise NotAuthorised
