"""The room of reports: what it registers."""

from callcenter.platform.core.registry import Room
from callcenter.reports.permissions import ReportPermission

ROOM = Room(name="reports", web="callcenter.reports.web_module", offers=(*ReportPermission,))
