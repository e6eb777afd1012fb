"""Actions of processes that carry out orders for calls."""

from callcenter.platform.audit.actions import Action


class OrderAction(Action):
    """Orders for calls, as the process that carries them out writes them itself."""

    #: Before it is carried out, whatever the answer; subject: the call; detail: by, what...
    TAKEN = "controller:order:taken"
    #: A supervisor lost the right to hear a call, and was let go; detail: supervisor, consultant...
    ENDED = "controller:supervision:ended"
    #: Once a minute for each reason; subject: the process; detail: why, and what is proven
    REFUSED = "controller:order:refused"
