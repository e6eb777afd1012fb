"""Permission on sealed numbers."""

from callcenter.platform.identity.permissions import Permission, Role


class SealedNumberPermission(Permission):
    """Permission on sealed numbers, with the roles that have it."""

    #: to ask for a sealed number, and to decide when others ask
    TRACE_NUMBERS = "numbers.trace", Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD
