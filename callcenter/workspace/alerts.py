"""Alerts that consultants raise in the workspace."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertSeverity

HELP_REQUESTED = AlertKind(
    "help_requested",
    N_("A consultant needs help, extension:"),
    AlertSeverity.CRITICAL,
    has_subject=True,
)
ALERTS = (HELP_REQUESTED,)
