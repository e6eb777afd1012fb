"""Actions on withheld numbers that are sealed."""

from callcenter.platform.audit.actions import Action


class SealedNumberAction(Action):
    """Actions on sealed numbers; subject: the appeal's number; detail: reason, asked_by."""

    NUMBER_ASKED = "web:number:asked"
    NUMBER_APPROVED = "web:number:approved"  #: by another
    NUMBER_REFUSED = "web:number:refused"  #: the same
    NUMBER_OPENED = "web:number:opened"  #: shown, once; detail: approved_by
    #: A try that was refused; detail: why (asked, refused, opened, stranger, late, gone,
    #: unreadable)
    NUMBER_DENIED = "web:number:denied"
