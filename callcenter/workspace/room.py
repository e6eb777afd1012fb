"""The room of the consultant's page: what it registers."""

from callcenter.platform.core.registry import Room
from callcenter.workspace.actions import WorkspaceAction
from callcenter.workspace.alerts import ALERTS

ROOM = Room(
    name="workspace",
    web="callcenter.workspace.web_module",
    offers=(*WorkspaceAction, *ALERTS),
)
