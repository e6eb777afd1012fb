"""Alerts about stored recordings and the audit log."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner

#: To be sealed, for minutes; or to be copied, an hour.
RECORDINGS_WAIT = AlertKind(
    "recordings_wait",
    N_("Recordings wait to be sealed or copied: tell the administrator, nothing is lost yet."),
    owner=AlertOwner.ADMINISTRATOR,
)
#: Also a file that belongs to no call.
RECORDING_QUARANTINED = AlertKind(
    "recording_aside",
    N_("A recording failed, or is not as long as its conversation: tell the records officer."),
    owner=AlertOwner.RECORDS_OFFICER,
    path="/quarantine",
)
NOT_AS_WRITTEN = AlertKind(
    "not_as_written",
    N_("A recording or the audit log was altered, or is not complete: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)

ALERTS = (RECORDINGS_WAIT, RECORDING_QUARANTINED, NOT_AS_WRITTEN)
