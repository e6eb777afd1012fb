"""Alerts about the service that callers get."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertSeverity

NONE_ANSWERED = AlertKind(
    "none_answered", N_("Callers waited and none was answered for long, their language:")
)

#: Who does not get through leaves nothing by which to be called back.
LINE_SILENT = AlertKind(
    "line_silent",
    N_(
        "No call has come for much longer than usual at this hour: dial 111 from outside, and "
        "tell the administrator if nobody answers. The last call:"
    ),
    AlertSeverity.CRITICAL,
    has_subject=True,
    is_subject_public=True,
)

ALERTS = (NONE_ANSWERED, LINE_SILENT)
