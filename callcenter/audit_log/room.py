"""The room of the audit log for people: what it registers."""

from callcenter.audit_log.actions import AuditLogAction
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.audit_log.sections import SECTION
from callcenter.platform.core.registry import Room

ROOM = Room(
    name="audit_log",
    web="callcenter.audit_log.web_module",
    offers=(*AuditLogPermission, *AuditLogAction, SECTION),
)
