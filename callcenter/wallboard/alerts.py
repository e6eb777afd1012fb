"""Alerts about the service that callers get."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind

NONE_ANSWERED = AlertKind(
    "none_answered", N_("Callers waited and none was answered for long, their language:")
)

ALERTS = (NONE_ANSWERED,)
