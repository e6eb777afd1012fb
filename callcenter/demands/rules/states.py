"""The states of a demand (R17), its legal transitions, and their authors."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from callcenter.platform.core.errors import InvalidRequest, SelfApproval


class DemandState(StrEnum):
    """The state of a demand. The names are kept in the database."""

    REGISTERED = "registered"  #: entered with its letter; nothing was searched yet
    FOUND = "found"  #: recordings are proposed and frozen, for the records officer to check
    CHECKED = "checked"  #: the records officer chose what is to be handed over
    RELEASED = "released"  #: a second person agreed: the bundle is made, and waits to be taken
    HANDED_OVER = "handed_over"  #: the authority has the bundle
    ACKNOWLEDGED = "acknowledged"  #: the authority has said that it is whole
    REFUSED = "refused"  #: nothing is handed over, for a ground that is told
    WITHDRAWN = "withdrawn"  #: the authority does not want it any more


class DemandStep(StrEnum):
    """A step of a demand, in the past tense: a row with author, time and reason."""

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


class RefusalGround(StrEnum):
    """The ground of a refusal: what the Rules (6) do not provide for."""

    NOT_AUTHORISED = "not_authorised"  #: it is not from the authorised body
    NO_CONVERSATION = "no_conversation"  #: there is no such conversation
    NOT_OF_CONSULTANT = "not_of_consultant"  #: it is no conversation of a consultant


OVER = frozenset({DemandState.ACKNOWLEDGED, DemandState.REFUSED, DemandState.WITHDRAWN})
#: Until then nothing was handed over, so the time that the demand sets runs.
RUNNING = frozenset(
    {DemandState.REGISTERED, DemandState.FOUND, DemandState.CHECKED, DemandState.RELEASED}
)
_BEFORE_RELEASE = frozenset({DemandState.REGISTERED, DemandState.FOUND, DemandState.CHECKED})

MOVES: Mapping[DemandStep, tuple[frozenset[DemandState], DemandState]] = {
    DemandStep.SEARCHED: (
        frozenset({DemandState.REGISTERED, DemandState.FOUND}),
        DemandState.FOUND,
    ),
    DemandStep.CHECKED: (frozenset({DemandState.FOUND}), DemandState.CHECKED),
    DemandStep.RETURNED: (frozenset({DemandState.CHECKED}), DemandState.FOUND),
    DemandStep.RELEASED: (frozenset({DemandState.CHECKED}), DemandState.RELEASED),
    DemandStep.OFFERED_AGAIN: (
        frozenset({DemandState.RELEASED, DemandState.HANDED_OVER}),
        DemandState.RELEASED,
    ),
    DemandStep.HANDED_OVER: (frozenset({DemandState.RELEASED}), DemandState.HANDED_OVER),
    DemandStep.ACKNOWLEDGED: (frozenset({DemandState.HANDED_OVER}), DemandState.ACKNOWLEDGED),
    DemandStep.REFUSED: (_BEFORE_RELEASE, DemandState.REFUSED),
    DemandStep.WITHDRAWN: (RUNNING, DemandState.WITHDRAWN),
    # The recordings are evidence for as long as somebody may come back to them.
    DemandStep.HOLD_ENDED: (frozenset({DemandState.ACKNOWLEDGED}), DemandState.ACKNOWLEDGED),
}

#: Whoever did one of these has prepared the demand, and does not release it.
PREPARING = frozenset({DemandStep.REGISTERED, DemandStep.SEARCHED, DemandStep.CHECKED})
#: What only somebody who did not prepare the demand may do.
OF_ANOTHER = frozenset({DemandStep.RELEASED, DemandStep.OFFERED_AGAIN})


class IllegalDemandStep(InvalidRequest):
    """This cannot be done with the demand as it stands."""


class NotAuthorised(InvalidRequest):
    """Recordings are opened for the authorised body alone (Rules, 6): refuse the demand."""


def move(state: DemandState, step: DemandStep) -> DemandState:
    """The state after a step. Raises IllegalDemandStep that names both."""
    sources, after = MOVES.get(step, (frozenset(), state))
    if state not in sources:
        raise IllegalDemandStep(f"a demand that is {state} cannot be {step}")
    return after


def check_person(step: DemandStep, who: str, preparers: Collection[str]) -> None:
    """Raise SelfApproval when `who` prepared what this step would release."""
    if step in OF_ANOTHER and who in preparers:
        raise SelfApproval


def check_sender(step: DemandStep, *, from_authority: bool) -> None:
    """Raise NotAuthorised when this step opens recordings for another sender."""
    if step in (DemandStep.SEARCHED, DemandStep.CHECKED, *OF_ANOTHER) and not from_authority:
        raise NotAuthorised
