"""Actions on written messages."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class IntakeAction(Action):
    """Actions on written messages; subject: the appeal's number."""

    #: it opened the appeal or joined it; detail: message (its id), channel, opened, urgent, own:
    #: whoever entered it deals with it
    MESSAGE_RECEIVED = "web:intake:received", N_("Written message received")
    #: into the own hand, as read
    CONTACT_TAKEN = "web:intake:taken", N_("Written contact taken")
    #: to the queue; detail: holder, skill
    CONTACT_GIVEN_BACK = "web:intake:given_back", N_("Written contact given back")
    #: nothing is to be written now
    CONTACT_DONE = "web:intake:done", N_("Written contact done")
