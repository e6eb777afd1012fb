"""Actions on blocked numbers."""

from callcenter.platform.audit.actions import Action


class BlocklistAction(Action):
    """Actions on blocked numbers."""

    NUMBER_BLOCKED = "web:block:made"  #: subject: the block; detail: number (masked), until, reason
    BLOCK_LIFTED = "web:block:lifted"  #: subject: the block; detail: number (masked)
