"""Actions on blocked numbers."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class BlocklistAction(Action):
    """Actions on blocked numbers."""

    #: subject: the block; detail: number (masked), until, reason
    NUMBER_BLOCKED = "web:block:made", N_("Number blocked")
    #: subject: the block; detail: number (masked)
    BLOCK_LIFTED = "web:block:lifted", N_("Block of a number lifted")
