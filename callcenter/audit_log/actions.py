"""Actions of who reads the audit log."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class AuditLogAction(Action):
    """Actions of who reads the audit log; subject: audit_log; detail: the conditions."""

    LOG_READ = "web:audit_log:read", N_("Audit log read")
    #: detail: entries too
    LOG_EXPORTED = "web:audit_log:exported", N_("Audit log exported")
