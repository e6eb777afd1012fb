"""Permission on the working calendar."""

from callcenter.platform.identity.permissions import Permission, Role


class CalendarPermission(Permission):
    """Permission on the working calendar, with the roles that have it."""

    #: to enter and correct the years by which legal terms are counted
    MANAGE_CALENDAR = "calendar.manage", Role.HEAD, Role.ADMINISTRATOR
