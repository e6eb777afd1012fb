"""Alerts about what is written and nobody reads."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

URGENT_UNREAD = AlertKind(
    "written_urgent",
    N_("Somebody writes that they are in danger, and nobody has read it, the language:"),
    AlertSeverity.CRITICAL,
    path="/work?list=written",
)
URGENT_MORE = AlertKind(
    "written_urgent_more",
    N_("Besides these, nobody has read so many at least who write that they are in danger:"),
    AlertSeverity.CRITICAL,
    has_subject=True,
    is_subject_public=True,
    path="/work?list=written",
)
CONTACT_OVERDUE = AlertKind(
    "written_overdue",
    N_("A written message should have been read by now, its language:"),
    path="/work?list=written",
)
PORTAL_STUCK = AlertKind(
    "portal_stuck",
    N_("What came through the portal is not taken, and nobody can read it: see the worker's log."),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.ADMINISTRATOR,
)

PORTAL_FAILS = AlertKind(
    "portal_fails",
    N_("The portal can store nothing: who writes is asked to call. See its log."),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.ADMINISTRATOR,
)

ALERTS = (URGENT_UNREAD, URGENT_MORE, CONTACT_OVERDUE, PORTAL_STUCK, PORTAL_FAILS)
