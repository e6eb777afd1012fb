"""Permission of consultants' outbound calls."""

from callcenter.platform.identity.permissions import Permission, Role


class OutboundPermission(Permission):
    """Permission of consultants' outbound calls, with the roles that have it."""

    #: to call numbers, and to ring the callers of appeals back
    CALL_OUT = "calls.make", Role.CONSULTANT, Role.SENIOR
