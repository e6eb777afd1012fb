"""Actions on recordings: listening, legal holds, erasure, quarantine."""

from callcenter.platform.audit.actions import Action


class RecordingAction(Action):
    """Actions on recordings: listening, legal holds, erasure, quarantine."""

    RECORDING_LISTENED = (
        "web:recording:listened"  #: subject: the recording; detail: id of the appeal, reason given
    )
    #: of versions that played messages by telephone
    RECORDING_PLAYED = (
        "telephone:recording:listened"  #: a message; detail: id of the appeal, reason (its offer)
    )
    LISTENING_REFUSED = "web:recording:listening_refused"  #: other_team or not_own
    RECORDING_HELD = "web:recording:held"  #: kept from erasing by hand; detail: order
    RECORDING_LET_GO = "web:recording:let_go"  #: not any more; detail: order, reason
    ERASURE_ASKED = "web:recording:erasure_asked"  #: subject: the recording; detail: reason, order
    ERASURE_APPROVED = "web:recording:erasure_approved"  #: by another; detail: reason, asked_by
    ERASURE_REFUSED = "web:recording:erasure_refused"  #: the same
    RECORDING_DEALT_WITH = "command:recording:dealt_with"  #: that was set aside; detail: reason
    RECORDING_SETTLED = "web:recording:settled"  #: the same, by the page
