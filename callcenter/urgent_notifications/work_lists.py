"""Work lists of urgent notifications: nobody took them, or nobody knows what came of them."""

from callcenter.appeals.search.worklists import WorkList
from callcenter.platform.core.errors import N_
from callcenter.urgent_notifications.rules.states import NotificationState
from callcenter.urgent_notifications.store import is_notified

NOTIFICATION_LISTS = (
    WorkList(
        11,
        "urgent_untaken",
        N_("Urgent notifications that nobody has taken"),
        lambda _: is_notified(NotificationState.CALLING),
        is_pressing=True,
    ),
    WorkList(
        12,
        "urgent_unresolved",
        N_("Taken by a body: was the person reached?"),
        lambda _: is_notified(NotificationState.TAKEN),
        is_pressing=True,
    ),
)
