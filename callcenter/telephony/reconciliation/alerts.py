"""Alerts about discrepancies between register and CEL, and about refused calls."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner

#: Also that they cannot be compared.
LEDGER_DIFFERS = AlertKind(
    "ledger_differs",
    N_("The register and the telephone switch disagree on calls: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)

#: For want of a codec, mostly.
CALLS_REFUSED = AlertKind(
    "calls_refused",
    N_(
        "The telephone exchange refuses calls of an operator, mostly for want of a common codec: "
        "tell the administrator."
    ),
    owner=AlertOwner.ADMINISTRATOR,
)

ALERTS = (LEDGER_DIFFERS, CALLS_REFUSED)
