"""Labels of demands on the pages."""

from callcenter.demands.matches_store import TooManyMatches
from callcenter.demands.release import BundleUnavailable, NotAvailable
from callcenter.demands.rules.deadlines import DeadlineStatus, DemandTimeUnit
from callcenter.demands.rules.matching import MatchReason, MatchWarning
from callcenter.demands.rules.states import (
    DemandState,
    DemandStep,
    IllegalDemandStep,
    NotAuthorised,
    RefusalGround,
)
from callcenter.demands.rules.waiting import DemandWait
from callcenter.demands.store import StaleDemand
from callcenter.platform.core.errors import N_, InvalidRequest, SelfApproval

STATES = {
    DemandState.REGISTERED: N_("registered"),
    DemandState.FOUND: N_("recordings to be checked"),
    DemandState.CHECKED: N_("waits for a second person"),
    DemandState.RELEASED: N_("released, waits to be taken"),
    DemandState.HANDED_OVER: N_("handed over"),
    DemandState.ACKNOWLEDGED: N_("receipt acknowledged"),
    DemandState.REFUSED: N_("refused"),
    DemandState.WITHDRAWN: N_("withdrawn"),
}

STEPS = {
    DemandStep.REGISTERED: N_("Demand registered"),
    DemandStep.SEARCHED: N_("Recordings searched and frozen"),
    DemandStep.CHECKED: N_("Recordings checked and chosen"),
    DemandStep.RETURNED: N_("Sent back to be checked again"),
    DemandStep.RELEASED: N_("Handing over released"),
    DemandStep.OFFERED_AGAIN: N_("Offered again"),
    DemandStep.HANDED_OVER: N_("Handed over to the authority"),
    DemandStep.ACKNOWLEDGED: N_("Receipt acknowledged by the authority"),
    DemandStep.REFUSED: N_("Demand refused"),
    DemandStep.WITHDRAWN: N_("Demand withdrawn"),
    DemandStep.HOLD_ENDED: N_("Hold on recordings ended"),
}

REASONS = {
    MatchReason.APPEAL: N_("the number of the appeal"),
    MatchReason.CALLER: N_("the number of the caller"),
    MatchReason.CONSULTANT: N_("that consultant talked"),
    MatchReason.WITHIN: N_("within the demanded time"),
    MatchReason.OVERLAPS: N_("partly within the demanded time"),
}

CAUTIONS = {
    MatchWarning.NO_CONSULTANT: N_("The consultant is unknown: listen to who speaks"),
    MatchWarning.NOT_STORED: N_("Not stored yet: search again later"),
    MatchWarning.FAILED: N_("The recording failed"),
    MatchWarning.EMPTY: N_("Neither side sent any sound: there is nothing recorded"),
    MatchWarning.ERASED: N_("The recording was erased"),
}

GROUNDS = {
    RefusalGround.NOT_AUTHORISED: N_("not from the authorised body"),
    RefusalGround.NO_CONVERSATION: N_("there is no such conversation"),
    RefusalGround.NOT_OF_CONSULTANT: N_("not a conversation of a consultant"),
}

UNITS = {
    DemandTimeUnit.WORKING_DAYS: N_("working days"),
    DemandTimeUnit.WORKING_HOURS: N_("working hours"),
    DemandTimeUnit.MOMENT: N_("until the moment below"),
}

CAME_BY = {
    "paper": N_("on paper"),
    "electronic": N_("by the system of documents"),
    "pages": N_("by this site"),
}

HAND_OVER_BY = {
    "download": N_("by download on this site"),
    "carrier": N_("on paper with a carrier"),
}

DEADLINE_STATUSES = {
    DeadlineStatus.IN_TIME: N_("in time"),
    DeadlineStatus.DUE_SOON: N_("due soon"),
    DeadlineStatus.OVERDUE: N_("OVERDUE"),
}

WAITS = {
    DemandWait.CHECK: N_("you: check the recordings that were found"),
    DemandWait.NARROWING: N_("the authority: too many recordings fit, it has to say more exactly"),
    DemandWait.REFUSAL: N_("the head: refuse it, it is not from the authorised body"),
    DemandWait.KEY: N_("a key of the authority that the head has confirmed"),
    DemandWait.RELEASE: N_("the head: release it"),
    DemandWait.BUNDLE: N_("nobody: the bundle is being made"),
    DemandWait.TAKING: N_("the authority: download the bundle"),
    DemandWait.CARRIER: N_("you: hand the bundle over on a carrier"),
    DemandWait.NEW_OFFER: N_("the head: offer it again, nobody took it in time"),
}

REFUSALS: tuple[tuple[type[InvalidRequest | BundleUnavailable], str], ...] = (
    (
        BundleUnavailable,
        N_("The store does not give the bundle now: nothing was handed over. Try again later."),
    ),
    (StaleDemand, N_("Somebody else has moved this demand meanwhile: look at it as it is now.")),
    (SelfApproval, N_("The person who prepared a demand cannot release it: a second person must.")),
    (NotAuthorised, N_("Recordings are opened for the authorised body alone: refuse the demand.")),
    (IllegalDemandStep, N_("This cannot be done with the demand as it stands.")),
    (
        TooManyMatches,
        N_("Too many recordings fit: the authority has to say more exactly what it demands."),
    ),
    (
        NotAvailable,
        N_("There is no bundle to be taken now: it is being made, was taken, or is late."),
    ),
    (InvalidRequest, N_("Nothing was changed: something was missing or wrong.")),
)


def refusal(error: InvalidRequest | BundleUnavailable) -> str:
    """The text of an error on a page."""
    return next(words for family, words in REFUSALS if isinstance(error, family))
