"""Permissions on the directory of state bodies."""

from callcenter.platform.identity.permissions import Permission, Role


class BodyPermission(Permission):
    """Permissions on the directory of state bodies, with the roles that have them."""

    #: to look bodies up, and to report a contact that does not work
    VIEW_BODIES = (
        "bodies.view",
        Role.CONSULTANT,
        Role.SENIOR,
        Role.RECORDS_OFFICER,
        Role.HEAD,
    )
    #: to vouch for a contact after it was tried
    VERIFY_CONTACTS = "bodies.verify", Role.SENIOR, Role.HEAD
    #: to enter, change and end bodies, also by a file
    EDIT_BODIES = "bodies.edit", Role.HEAD
