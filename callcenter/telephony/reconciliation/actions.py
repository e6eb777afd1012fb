"""Actions on what reconciliation finds."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class ReconciliationAction(Action):
    """Actions on what reconciliation finds."""

    #: Of a row that was lost: entered from what is sealed; detail: appeal (its id), sha256
    RECORDING_ADOPTED = "command:recording:adopted", N_("Sealed recording entered again")
