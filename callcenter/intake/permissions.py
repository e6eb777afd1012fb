"""Permission on intake."""

from callcenter.platform.identity.permissions import NonUser, Permission


class IntakePermission(Permission):
    """Permission on intake, with the roles that have it."""

    #: a program's: to hand over what people wrote to it
    SEND = "intake.send", NonUser.MACHINE
