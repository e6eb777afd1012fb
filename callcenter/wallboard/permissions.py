"""Permissions on live calls and queues."""

from callcenter.platform.identity.permissions import Permission, Role


class WallboardPermission(Permission):
    """Permissions on live calls and queues, with the roles that have them."""

    #: who waits and what each consultant is doing now
    VIEW_LIVE = "live.view", Role.SENIOR, Role.HEAD, Role.ADMINISTRATOR
    #: to see call by call who talks and waits, hold back and hand out
    DIRECT = "queue.direct", Role.SENIOR, Role.HEAD
    #: to be with conversations under way: never implied by live figures
    HEAR_CALLS = "calls.hear", Role.SENIOR, Role.HEAD
    #: those of other teams too, see consultants.teams
    HEAR_ALL_TEAMS = "calls.hear_all_teams", Role.HEAD
    #: to see open alerts, and acknowledge one's own: each names its owner, and the head all
    ACKNOWLEDGE_ALERTS = (
        "alerts.acknowledge",
        Role.SENIOR,
        Role.HEAD,
        Role.RECORDS_OFFICER,
        Role.ADMINISTRATOR,
    )
