"""Permission on blocked numbers."""

from callcenter.platform.identity.permissions import Permission, Role


class BlocklistPermission(Permission):
    """Permission on blocked numbers, with the roles that have it."""

    #: to see numbers that are blocked, block and let through
    BLOCK_NUMBERS = "abuse.block", Role.SENIOR, Role.HEAD
