"""Actions in the workspace."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class WorkspaceAction(Action):
    """Actions in the workspace."""

    #: of the supervisors; subject: the consultant; detail: raises (the id of the alert)
    HELP_REQUESTED = "web:workspace:help_requested", N_("Help asked of supervisors")
