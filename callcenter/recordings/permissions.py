"""Permissions on recordings."""

from callcenter.platform.identity.permissions import Permission, Role


class RecordingPermission(Permission):
    """Permissions on recordings, with the roles that have them."""

    #: to hear one's own: never implied by seeing the appeal
    LISTEN = "recordings.listen", Role.CONSULTANT, Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD
    #: those of one's own team too
    LISTEN_TO_TEAM = "recordings.listen_team", Role.SENIOR, Role.HEAD
    #: those of everybody
    LISTEN_TO_ALL_TEAMS = "recordings.listen_all_teams", Role.RECORDS_OFFICER, Role.HEAD
    #: to ask that recordings be erased, and to decide when others ask
    ERASE = "recordings.erase", Role.RECORDS_OFFICER, Role.HEAD
    #: to say what became of recordings that failed, or are not as long as their conversation
    SETTLE_QUARANTINE = "recordings.settle_quarantine", Role.RECORDS_OFFICER, Role.HEAD
