"""Actions on callbacks and voicemail."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class CallbackAction(Action):
    """Actions on callbacks and voicemail."""

    #: subject: the promise: it is kept no more
    PROMISE_CLOSED = "web:promise:closed", N_("Callback closed")
    #: subject: the promise: heard, and done
    MESSAGE_DONE = "web:promise:message_done", N_("Message of a caller done")
