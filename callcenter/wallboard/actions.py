"""Actions of supervisors on queues, calls and alerts."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class WallboardAction(Action):
    """Actions of supervisors on queues, calls and alerts."""

    #: subject: the appeal; detail: mode, reason, ...
    SUPERVISED = "web:conversation:supervised", N_("Conversation joined by a supervisor")
    #: subject: language or all; detail: minutes, reason
    QUEUE_HELD_BACK = "web:queue:held_back", N_("Queue held back")
    #: detail: kind, language, raised_at, alerts; covers (ids) of critical ones
    ALARM_ACKNOWLEDGED = "web:alarm:acknowledged", N_("Alarm acknowledged")
    #: by who sees to it; detail: the same
    ALERT_TAKEN = "web:alarm:taken", N_("Alarm taken")
    #: subject: language or all
    QUEUE_LET_ON = "web:queue:let_on", N_("Queue let on")
    #: subject: the switch's id; detail: consultant
    CALL_HANDED_OUT = "web:call:handed_out", N_("Call handed out")
