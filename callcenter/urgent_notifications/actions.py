"""Actions on urgent notifications of state bodies."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class NotificationAction(Action):
    """Actions on urgent notifications; subject: number of the appeal; detail: notification."""

    #: detail: body, begun (yes, or no: it goes on)
    BODY_CALLED = "web:urgent_notification:called", N_("Urgent notification of a state body")
    #: detail: body, step; of the clock: level
    NOTIFICATION_MOVED = (
        "web:urgent_notification:moved",
        N_("Step of an urgent notification of a state body"),
    )
