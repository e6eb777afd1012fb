"""Severity and owner of alerts."""

from enum import StrEnum


class AlertSeverity(StrEnum):
    """How grave an alert is, the gravest first."""

    CRITICAL = "critical"  #: a person is in danger, or a conversation is not recorded
    WARNING = "warning"  #: callers are served worse, or will be, unless somebody acts
    NOTICE = "notice"  #: something is due, or is right again


class AlertOwner(StrEnum):
    """The role that acts on an alert and acknowledges it, by its name in the database."""

    SENIOR = "senior"
    HEAD = "head"
    RECORDS_OFFICER = "records_officer"
    ADMINISTRATOR = "administrator"


#: For sorting.
SEVERITY_ORDER = {severity: place for place, severity in enumerate(AlertSeverity)}
