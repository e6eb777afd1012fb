"""Alerts about appeals."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

CUT_OFF_WAITS = AlertKind(
    "cut_off_waits",
    N_("A fault cut a caller off, and nobody decides whether to call back."),
    path="/work?list=cut_off",
)
DANGER_WAITS = AlertKind(
    "danger_waits",
    N_("An appeal is urgent and nobody has passed it on: see the work lists."),
    AlertSeverity.CRITICAL,
    path="/work?list=urgent",
)
TALK_MISSED = AlertKind(
    "talk_missed",
    N_("A talk that was booked with a psychologist did not take place: see the work lists."),
    path="/work?list=missed_talks",
)
FOLLOW_UP_MISSED = AlertKind(
    "follow_up_missed",
    N_("A follow-up call after danger was not made: see the work lists."),
    path="/work?list=missed_follow_ups",
)
#: Also of a letter of it.
APPEAL_OVERDUE = AlertKind(
    "appeal_overdue",
    N_("The term of an appeal is over: see the work lists."),
    AlertSeverity.NOTICE,
    path="/work?list=overdue",
)
ATTACHMENT_QUARANTINED = AlertKind(
    "attachment_aside",
    N_("A file of an appeal has a virus or cannot be checked: nobody can open it."),
    path="/search",
)
ATTACHMENT_WAITS = AlertKind(
    "attachment_waits",
    N_("Files of appeals wait to be checked for viruses: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)
CALENDAR_ENDS = AlertKind(
    "calendar_ends",
    N_("The working calendar ends soon, then no term can be counted: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
    path="/calendar",
)
NUMBERS_RUN_OUT = AlertKind(
    "numbers_run_out",
    N_("Numbers of appeals are nearly used up for this year: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)
MANY_VIEWED = AlertKind(
    "many_viewed",
    N_("Somebody opened many appeals without a call in an hour: the audit log says who."),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.HEAD,
    path="/audit?action=web:appeals:many_viewed",
)
STATUS_GUESSED = AlertKind(
    "status_guessed",
    N_("Visitors of the portal are guessing codes of receipts: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)

ALERTS = (
    CUT_OFF_WAITS,
    DANGER_WAITS,
    TALK_MISSED,
    FOLLOW_UP_MISSED,
    APPEAL_OVERDUE,
    ATTACHMENT_QUARANTINED,
    ATTACHMENT_WAITS,
    CALENDAR_ENDS,
    NUMBERS_RUN_OUT,
    MANY_VIEWED,
    STATUS_GUESSED,
)
