"""Actions of supervisors on queues, calls and alerts."""

from callcenter.platform.audit.actions import Action


class WallboardAction(Action):
    """Actions of supervisors on queues, calls and alerts."""

    SUPERVISED = "web:conversation:supervised"  #: subject: the appeal; detail: mode, reason, ...
    QUEUE_HELD_BACK = "web:queue:held_back"  #: subject: language or all; detail: minutes, reason
    ALARM_ACKNOWLEDGED = "web:alarm:acknowledged"  #: detail: kind, language, raised_at, alerts
    ALERT_TAKEN = "web:alarm:taken"  #: by who sees to it; detail: the same
    QUEUE_LET_ON = "web:queue:let_on"  #: subject: language or all
    CALL_HANDED_OUT = "web:call:handed_out"  #: subject: the switch's id; detail: consultant
