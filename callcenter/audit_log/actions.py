"""Actions of who reads the audit log."""

from callcenter.platform.audit.actions import Action


class AuditLogAction(Action):
    """Actions of who reads the audit log; subject: audit_log; detail: the conditions."""

    LOG_READ = "web:audit_log:read"
    LOG_EXPORTED = "web:audit_log:exported"  #: detail: entries too
