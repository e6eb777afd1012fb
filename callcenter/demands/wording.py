"""Words of demands, as pages say them."""

from callcenter.demands.findings import TooMany
from callcenter.demands.matching import Caution, Reason
from callcenter.demands.releasing import Away, NotToBeTaken
from callcenter.demands.states import (
    Ground,
    IllegalMove,
    NotAuthorised,
    SamePerson,
    State,
    Step,
)
from callcenter.demands.store import SomebodyElse
from callcenter.demands.terms import Standing, Unit
from callcenter.errors import N_, AskedWrongly

STATES = {
    State.REGISTERED: N_("registered"),
    State.FOUND: N_("recordings to be checked"),
    State.CHECKED: N_("waits for a second person"),
    State.RELEASED: N_("released, waits to be taken"),
    State.HANDED_OVER: N_("handed over"),
    State.ACKNOWLEDGED: N_("receipt acknowledged"),
    State.REFUSED: N_("refused"),
    State.WITHDRAWN: N_("withdrawn"),
}

STEPS = {
    Step.REGISTERED: N_("Demand registered"),
    Step.SEARCHED: N_("Recordings searched and frozen"),
    Step.CHECKED: N_("Recordings checked and chosen"),
    Step.RETURNED: N_("Sent back to be checked again"),
    Step.RELEASED: N_("Handing over released"),
    Step.OFFERED_AGAIN: N_("Offered again"),
    Step.HANDED_OVER: N_("Handed over to the authority"),
    Step.ACKNOWLEDGED: N_("Receipt acknowledged by the authority"),
    Step.REFUSED: N_("Demand refused"),
    Step.WITHDRAWN: N_("Demand withdrawn"),
    Step.HOLD_ENDED: N_("Recordings not kept for it any more"),
}

REASONS = {
    Reason.APPEAL: N_("the number of the appeal"),
    Reason.CALLER: N_("the number of the caller"),
    Reason.CONSULTANT: N_("that consultant talked"),
    Reason.WITHIN: N_("within the demanded time"),
    Reason.OVERLAPS: N_("partly within the demanded time"),
}

CAUTIONS = {
    Caution.NO_CONSULTANT: N_("No consultant is known: listen who speaks"),
    Caution.NOT_STORED: N_("Not stored yet: search again later"),
    Caution.FAILED: N_("The recording failed"),
    Caution.ERASED: N_("The recording was erased"),
}

GROUNDS = {
    Ground.NOT_AUTHORISED: N_("not from the authorised body"),
    Ground.NO_CONVERSATION: N_("there is no such conversation"),
    Ground.NOT_OF_CONSULTANT: N_("not a conversation of a consultant"),
}

UNITS = {
    Unit.WORKING_DAYS: N_("working days"),
    Unit.WORKING_HOURS: N_("working hours"),
    Unit.MOMENT: N_("until the moment below"),
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

STANDINGS = {
    Standing.IN_TIME: N_("in time"),
    Standing.DUE_SOON: N_("due soon"),
    Standing.OVERDUE: N_("OVERDUE"),
}

REFUSALS: tuple[tuple[type[AskedWrongly | Away], str], ...] = (
    (
        Away,
        N_("The store does not give the bundle now: nothing was handed over. Try again later."),
    ),
    (SomebodyElse, N_("Somebody else has moved this demand meanwhile: look at it as it is now.")),
    (SamePerson, N_("Whoever prepared a demand does not release it: a second person has to.")),
    (NotAuthorised, N_("Recordings are opened for the authorised body alone: refuse the demand.")),
    (IllegalMove, N_("This cannot be done with the demand as it stands.")),
    (
        TooMany,
        N_("Too many recordings fit: the authority has to say more exactly what it demands."),
    ),
    (
        NotToBeTaken,
        N_("There is no bundle to be taken now: it is being made, was taken, or is late."),
    ),
    (AskedWrongly, N_("Nothing was changed: something was missing or wrong.")),
)


def refusal(error: AskedWrongly | Away) -> str:
    """What the page says of an error."""
    return next(words for family, words in REFUSALS if isinstance(error, family))
