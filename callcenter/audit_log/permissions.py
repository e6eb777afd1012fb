"""Permissions on the audit log."""

from callcenter.platform.identity.permissions import Permission, Role


class AuditLogPermission(Permission):
    """Permissions on the audit log, with the roles that have them."""

    #: to see who did what, and who opened an appeal or a recording
    READ_AUDIT_LOG = "audit_log.read", Role.AUDITOR, Role.HEAD
    #: the same as a file
    EXPORT_AUDIT_LOG = "audit_log.export", Role.AUDITOR, Role.HEAD
