"""The next act that a running demand waits for, and whose it is."""

from enum import StrEnum

from callcenter.demands.rules.states import DemandState


class DemandWait(StrEnum):
    """The next act that a running demand waits for."""

    CHECK = "check"  #: the records officer checks the recordings
    NARROWING = "narrowing"  #: too many recordings fit: the authority has to say more exactly
    REFUSAL = "refusal"  #: the head refuses what is not from the authorised body
    KEY = "key"  #: the authority adds a key and the head confirms it
    RELEASE = "release"  #: the head releases it
    BUNDLE = "bundle"  #: nobody: a worker makes the bundle
    TAKING = "taking"  #: the authority downloads the bundle
    CARRIER = "carrier"  #: the records officer hands the bundle over on a carrier
    NEW_OFFER = "new_offer"  #: the head offers the bundle again: nobody took it in time


def waits_for(
    state: DemandState,
    *,
    from_authority: bool,
    has_key: bool,
    is_being_made: bool,
    is_offered: bool,
    hand_over_by: str,
) -> DemandWait:
    """The next act for a running demand of this state."""
    if state is DemandState.REGISTERED:
        return DemandWait.NARROWING if from_authority else DemandWait.REFUSAL
    if state is DemandState.FOUND:
        return DemandWait.CHECK
    if state is DemandState.CHECKED:
        return DemandWait.RELEASE if has_key else DemandWait.KEY
    if is_being_made:
        return DemandWait.BUNDLE
    if not is_offered:
        return DemandWait.NEW_OFFER
    return DemandWait.CARRIER if hand_over_by == "carrier" else DemandWait.TAKING
