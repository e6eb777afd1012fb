"""Actions on withheld numbers that are sealed."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class SealedNumberAction(Action):
    """Actions on sealed numbers; subject: the appeal's number; detail: reason, asked_by."""

    NUMBER_ASKED = "web:number:asked", N_("Opening of a sealed number asked for")
    #: by another
    NUMBER_APPROVED = "web:number:approved", N_("Opening of a sealed number approved")
    #: the same
    NUMBER_REFUSED = "web:number:refused", N_("Access to a sealed number refused")
    #: shown, once; detail: approved_by
    NUMBER_OPENED = "web:number:opened", N_("Sealed number opened")
    #: A try that was refused; detail: why (asked, refused, opened, stranger, late, gone,
    #: unreadable)
    NUMBER_DENIED = "web:number:denied", N_("Opening of a sealed number denied")
