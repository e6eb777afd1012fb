"""Permission on plans for frequent callers."""

from callcenter.platform.identity.permissions import Permission, Role


class CarePlanPermission(Permission):
    """Permission on plans for frequent callers, with the roles that have it."""

    #: to see, make, review and end plans for frequent callers
    MANAGE_PLANS = "plans.manage", Role.SENIOR, Role.HEAD
