"""Alerts about demands of the authority."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

DEMAND_DUE_SOON = AlertKind(
    "demand_due_soon",
    N_("A written demand is due soon: see the demands."),
    AlertSeverity.NOTICE,
    owner=AlertOwner.RECORDS_OFFICER,
    path="/demands",
)
DEMAND_OVERDUE = AlertKind(
    "demand_overdue",
    N_("A written demand is overdue: see the demands."),
    AlertSeverity.NOTICE,
    owner=AlertOwner.RECORDS_OFFICER,
    path="/demands",
)

ALERTS = (DEMAND_DUE_SOON, DEMAND_OVERDUE)
