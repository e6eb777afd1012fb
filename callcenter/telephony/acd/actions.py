"""Actions of processes that carry out orders for calls."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class OrderAction(Action):
    """Orders for calls, as the process that carries them out writes them itself."""

    #: Before it is carried out, whatever the answer; subject: the call; detail: by, what...
    TAKEN = "controller:order:taken", N_("Order for a call carried out")
    #: A supervisor lost the right to hear a call, and was let go; detail: supervisor, consultant...
    ENDED = "controller:supervision:ended", N_("Supervision of a conversation ended")
    #: The supervisor who had joined got the caller; detail: the same, `consultant` is who is gone
    CLAIMED = "controller:supervision:claimed", N_("Caller left to the supervisor who had joined")
    #: Once a minute for each reason; subject: the process; detail: why, and what is proven
    REFUSED = "controller:order:refused", N_("Order for a call refused")
