"""Permissions on duty and on consultants."""

from callcenter.platform.identity.permissions import Permission, Role


class ConsultantPermission(Permission):
    """Permissions on duty and on consultants, with the roles that have them."""

    #: to sign in as a consultant, pause, sign out
    OWN_DUTY = "duty.own", Role.CONSULTANT, Role.SENIOR
    #: to see what consultants do and did, and to send to a pause
    SUPERVISE = "duty.supervise", Role.SENIOR, Role.HEAD
    #: languages, skills, and the center's own lists
    MANAGE_CONSULTANTS = "consultants.manage", Role.HEAD, Role.ADMINISTRATOR
