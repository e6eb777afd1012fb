"""Alerts about urgent notifications that nobody took, or of which nobody knows the end."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

_UNTAKEN, _UNRESOLVED = "/work?list=urgent_untaken", "/work?list=urgent_unresolved"

#: By level, the first that is due first.
LEVELS = (
    AlertKind(
        "urgent_untaken_next",
        N_("A body has not taken an urgent notification: call its next contact."),
        path=_UNTAKEN,
    ),
    AlertKind(
        "urgent_untaken_shift",
        N_("A body has still not taken an urgent notification: the head of the shift decides."),
        AlertSeverity.CRITICAL,
        path=_UNTAKEN,
    ),
    AlertKind(
        "urgent_untaken_commissioner",
        N_("No body takes an urgent notification: call the commissioner for children's rights."),
        AlertSeverity.CRITICAL,
        owner=AlertOwner.HEAD,
        path=_UNTAKEN,
    ),
)
UNRESOLVED = AlertKind(
    "urgent_unresolved",
    N_("A body took an urgent notification, and nobody knows whether the person was reached."),
    AlertSeverity.CRITICAL,
    path=_UNRESOLVED,
)
ALERTS = (*LEVELS, UNRESOLVED)
