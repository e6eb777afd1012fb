"""Actions on callbacks and voicemail."""

from callcenter.platform.audit.actions import Action


class CallbackAction(Action):
    """Actions on callbacks and voicemail."""

    PROMISE_CLOSED = "web:promise:closed"  #: subject: the promise: it is kept no more
    MESSAGE_DONE = "web:promise:message_done"  #: subject: the promise: heard, and done
