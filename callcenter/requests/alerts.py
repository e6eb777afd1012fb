"""Alerts about requests that nobody hands over, and applicants whom nobody notifies."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertSeverity

URGENT_REQUEST_WAITS = AlertKind(
    "urgent_request_waits",
    N_("An urgent request to a state body is not handed over: see the work lists."),
    AlertSeverity.CRITICAL,
    path="/work?list=requests_ready",
)
REQUEST_WAITS = AlertKind(
    "request_waits",
    N_("A request to a state body should have left by now: see the work lists."),
    path="/work?list=requests_ready",
)
NOTICE_LATE = AlertKind(
    "request_notice_late",
    N_("An applicant is not notified yet which body has the appeal: see the work lists."),
    path="/work?list=requests_notices",
)

ALERTS = (URGENT_REQUEST_WAITS, REQUEST_WAITS, NOTICE_LATE)
