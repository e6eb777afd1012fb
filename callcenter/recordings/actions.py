"""Actions on recordings: listening, legal holds, erasure, quarantine."""

from callcenter.platform.audit.actions import OPENS_PERSONAL_DATA, Action
from callcenter.platform.core.errors import N_


class RecordingAction(Action):
    """Actions on recordings: listening, legal holds, erasure, quarantine."""

    #: subject: the recording; detail: id of the appeal, reason given
    RECORDING_LISTENED = "web:recording:listened", N_("Recording listened to"), OPENS_PERSONAL_DATA
    #: a message, by versions that played them by telephone; detail: id of the appeal, reason
    RECORDING_PLAYED = (
        "telephone:recording:listened",
        N_("Message heard by telephone"),
        OPENS_PERSONAL_DATA,
    )
    #: other_team or not_own
    LISTENING_REFUSED = (
        "web:recording:listening_refused",
        N_("Listening refused"),
        OPENS_PERSONAL_DATA,
    )
    #: kept from erasing by hand; detail: order
    RECORDING_HELD = "web:recording:held", N_("Recording held")
    #: not any more; detail: order, reason
    RECORDING_LET_GO = "web:recording:let_go", N_("Hold of a recording ended")
    #: subject: the recording; detail: reason, order
    ERASURE_ASKED = "web:recording:erasure_asked", N_("Erasure of a recording asked for")
    #: by another; detail: reason, asked_by
    ERASURE_APPROVED = "web:recording:erasure_approved", N_("Erasure of a recording approved")
    #: the same
    ERASURE_REFUSED = "web:recording:erasure_refused", N_("Erasure of a recording refused")
    #: that was set aside; detail: reason
    RECORDING_DEALT_WITH = "command:recording:dealt_with", N_("Quarantined recording dealt with")
    #: the same, by the page
    RECORDING_SETTLED = "web:recording:settled", N_("Quarantined recording settled on the page")
