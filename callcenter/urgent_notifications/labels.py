"""Words of urgent notifications on pages: states and steps."""

from callcenter.platform.core.errors import N_
from callcenter.urgent_notifications.rules.states import NotificationState, NotificationStep

STATES = {
    NotificationState.CALLING: N_("nobody has taken it yet"),
    NotificationState.TAKEN: N_("taken, the person is not reached yet"),
    NotificationState.REACHED: N_("the person was reached"),
    NotificationState.NOT_REACHED: N_("the person was not reached, the next step is known"),
    NotificationState.DECLINED: N_("the person declined the help"),
    NotificationState.WITHDRAWN: N_("withdrawn"),
}
#: What is pressed once the end of the last mile is known.
RESULT_BUTTONS = {
    NotificationStep.REACHED: N_("The person was reached"),
    NotificationStep.NOT_REACHED: N_("Not reached; the next step is above"),
    NotificationStep.DECLINED: N_("The person declined the help"),
}
STEPS = {
    NotificationStep.BEGUN: N_("Begun"),
    NotificationStep.CALLED: N_("Called at"),
    NotificationStep.NOT_TAKEN: N_("Not taken"),
    NotificationStep.ESCALATED: N_("Nobody had taken it: supervisors were alerted"),
    NotificationStep.TAKEN: N_("Taken by"),
    NotificationStep.REACHED: N_("The person was reached"),
    NotificationStep.NOT_REACHED: N_("The person was not reached; next"),
    NotificationStep.DECLINED: N_("The person declined the help"),
    NotificationStep.WITHDRAWN: N_("Withdrawn"),
    NotificationStep.JOINED: N_("The appeals were joined: it goes on in the other one"),
}
