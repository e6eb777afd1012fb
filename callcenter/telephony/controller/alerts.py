"""Alerts about disks, trunks, and open files and SIP of Asterisk."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity

DISK_FILLS = AlertKind(
    "disk_fills",
    N_("The disk fills, four fifths are used: tell the administrator."),
    owner=AlertOwner.ADMINISTRATOR,
)
#: At nine tenths.
DISK_ALMOST_FULL = AlertKind(
    "disk_almost_full",
    N_("The disk is almost full, soon nothing is recorded: make room."),
    owner=AlertOwner.ADMINISTRATOR,
)

OPEN_FILES_RUN_OUT = AlertKind(
    "open_files_run_out",
    N_(
        "The telephone exchange has almost used up its open files, soon calls are refused: "
        "tell the administrator."
    ),
    owner=AlertOwner.ADMINISTRATOR,
)

SIP_UNANSWERED = AlertKind(
    "sip_unanswered",
    N_(
        "The telephone exchange does not answer, nobody can call 111 now: "
        "tell the administrator at once."
    ),
    AlertSeverity.CRITICAL,
    owner=AlertOwner.ADMINISTRATOR,
)

#: Who does not get through leaves nothing by which to be called back.
TRUNK_UNREGISTERED = AlertKind(
    "trunk_unregistered",
    N_(
        "Calls of an operator may not reach 111, its trunk is not registered: "
        "tell the administrator. Operator:"
    ),
    AlertSeverity.CRITICAL,
    has_subject=True,
    is_subject_public=True,
    owner=AlertOwner.ADMINISTRATOR,
)

#: As above, of an operator that answers no OPTIONS.
TRUNK_UNREACHABLE = AlertKind(
    "trunk_unreachable",
    N_(
        "Calls of an operator may not reach 111, it does not answer the telephone exchange: "
        "tell the administrator. Operator:"
    ),
    AlertSeverity.CRITICAL,
    has_subject=True,
    is_subject_public=True,
    owner=AlertOwner.ADMINISTRATOR,
)

ALERTS = (
    DISK_FILLS,
    DISK_ALMOST_FULL,
    OPEN_FILES_RUN_OUT,
    SIP_UNANSWERED,
    TRUNK_UNREGISTERED,
    TRUNK_UNREACHABLE,
)
