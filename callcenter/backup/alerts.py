"""Alerts about backups."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

#: Also the archive of the database's log, and a place that cannot be reached.
BACKUP_LATE = AlertKind(
    "backup_late",
    N_("There is no fresh backup, or the database's log is not archived: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)
BACKUP_NOTE_REMOVED = AlertKind(
    "backup_note_removed",
    N_("Somebody removed a note beside the backups: tell the administrator."),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.ADMINISTRATOR,
)

ALERTS = (BACKUP_LATE, BACKUP_NOTE_REMOVED)
