"""Permission to notify state bodies urgently."""

from callcenter.platform.identity.permissions import Permission, Role


class NotificationPermission(Permission):
    """Permission to notify state bodies urgently, with the roles that have it."""

    #: to begin, to call, and to note who took it and what came of it
    NOTIFY_BODIES = "bodies.notify", Role.CONSULTANT, Role.SENIOR, Role.HEAD
