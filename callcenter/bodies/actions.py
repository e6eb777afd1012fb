"""Actions on the directory of state bodies."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class BodyAction(Action):
    """Actions on the directory of state bodies; subject: body:CODE, or the appeal."""

    #: or entered; detail: version
    BODY_SAVED = "web:body:saved", N_("State body saved")
    #: detail: contact (its id)
    CONTACT_VERIFIED = "web:body:contact_verified", N_("Contact of a state body verified")
    #: detail: contact (its id), failure
    CONTACT_FAILED = "web:body:contact_failed", N_("Contact of a state body does not work")
    #: subject: bodies; detail: format, bodies (how many)
    DIRECTORY_EXPORTED = "web:bodies:exported", N_("Directory of state bodies exported")
    #: subject: bodies; detail: added, changed; beside an entry for each body
    DIRECTORY_IMPORTED = "web:bodies:imported", N_("Directory of state bodies imported")
    #: to the caller (R16); subject: the appeal's number; detail: body, contact (its id)
    CALLER_REFERRED = "web:appeal:referred", N_("State body named to the caller")
