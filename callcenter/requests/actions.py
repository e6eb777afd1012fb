"""Actions on requests to state bodies."""

from callcenter.platform.audit.actions import OPENS_PERSONAL_DATA, Action
from callcenter.platform.core.errors import N_


class RequestAction(Action):
    """Actions on requests to state bodies; subject: the appeal's number; detail: request (id)."""

    #: detail: body, direction
    REQUEST_BEGUN = "web:request:begun", N_("Request to a state body begun")
    REQUEST_VIEWED = (
        "web:request:viewed",
        N_("Request to a state body viewed"),
        OPENS_PERSONAL_DATA,
    )
    #: detail: fields (their keys), cleared (how many findings)
    REQUEST_COMPOSED = "web:request:composed", N_("Request to a state body composed")
    #: alone; detail: attachment (its id), sha256
    FILE_RELEASED = "web:request:file_released", N_("File released to a state body")
    #: before it left; detail: attachment (its id)
    FILE_TAKEN_OUT = "web:request:file_taken_out", N_("File taken out of a request")
    #: to be handed over by hand; detail: body, sha256, file (its name)
    REQUEST_TAKEN = (
        "web:request:taken",
        N_("Request taken to be handed over"),
        OPENS_PERSONAL_DATA,
    )
    #: detail: step, body; sha256 of what leaves, reference (number of the body), competent
    REQUEST_MOVED = "web:request:moved", N_("Step of a request to a state body")
