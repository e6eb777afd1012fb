"""Actions in the workspace."""

from callcenter.platform.audit.actions import Action


class WorkspaceAction(Action):
    """Actions in the workspace."""

    HELP_REQUESTED = "web:workspace:help_requested"  #: of the supervisors; subject: the consultant
