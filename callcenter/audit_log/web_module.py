"""Router, templates and menu of the room of the audit log."""

from pathlib import Path

from callcenter.audit_log import pages
from callcenter.audit_log.guides import GUIDES
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule

WEB_MODULE = WebModule(
    name="audit_log",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    menu=(MenuEntry(210, "/audit", N_("Audit log"), AuditLogPermission.READ_AUDIT_LOG, more=True),),
)
