"""Alerts about what is written and nobody reads."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertSeverity

URGENT_UNREAD = AlertKind(
    "written_urgent",
    N_("Somebody writes that they are in danger, and nobody has read it, the language:"),
    AlertSeverity.CRITICAL,
    path="/work?list=written",
)
CONTACT_OVERDUE = AlertKind(
    "written_overdue",
    N_("A written message should have been read by now, its language:"),
    path="/work?list=written",
)

ALERTS = (URGENT_UNREAD, CONTACT_OVERDUE)
