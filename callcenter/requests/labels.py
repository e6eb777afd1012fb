"""Words of requests on pages: states, steps, kinds of findings."""

from callcenter.platform.core.errors import N_
from callcenter.requests.rules.states import RequestState, RequestStep
from callcenter.requests.rules.text_scan import FindingKind

REQUEST_STATES = {
    RequestState.DRAFTED: N_("being composed"),
    RequestState.WAITING: N_("ready, waits to leave"),
    RequestState.SENT: N_("sent"),
    RequestState.DELIVERED: N_("delivered"),
    RequestState.SEEN: N_("seen by the body"),
    RequestState.ACCEPTED: N_("accepted"),
    RequestState.REFUSED: N_("refused: another body is competent"),
    RequestState.FIRST_MEASURES: N_("first measures are known"),
    RequestState.ANSWERED: N_("the body has answered"),
    RequestState.OVERDUE: N_("the answer is overdue"),
    RequestState.VERY_OVERDUE: N_("the answer is long overdue"),
    RequestState.WITHDRAWN: N_("withdrawn"),
}
#: What somebody notes, or the clock.
REQUEST_STEPS = {
    RequestStep.READIED: N_("Made ready to leave"),
    RequestStep.NOTIFIED: N_("The applicant was notified which body has it"),
    RequestStep.NOT_NOTIFIED: N_("The applicant could not be notified"),
    RequestStep.RETURNED: N_("Taken back to be composed again"),
    RequestStep.SENT: N_("Handed over by hand"),
    RequestStep.DELIVERED: N_("It has arrived at the body"),
    RequestStep.SEEN: N_("The body has seen it"),
    RequestStep.ACCEPTED: N_("The body has accepted it"),
    RequestStep.FIRST_MEASURES: N_("The body said what it found and did first"),
    RequestStep.ANSWERED: N_("The body answered"),
    RequestStep.REFUSED: N_("The body refused: another one is competent"),
    RequestStep.OVERDUE: N_("The last day of the answer is over"),
    RequestStep.VERY_OVERDUE: N_("The answer is long overdue"),
    RequestStep.WITHDRAWN: N_("Withdrawn"),
}
FINDINGS = {
    FindingKind.IDENTIFIER: N_("IIN or BIN"),
    FindingKind.TELEPHONE: N_("Telephone"),
    FindingKind.NUMBER: N_("A long number"),
    FindingKind.EMAIL: N_("E-mail"),
    FindingKind.ADDRESS: N_("Address"),
    FindingKind.NAME: N_("Name"),
}
