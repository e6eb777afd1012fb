"""Permission on users."""

from callcenter.platform.identity.permissions import Permission, Role


class UserPermission(Permission):
    """Permission on users, with the roles that have it."""

    #: to add people, give them roles, shut them out
    MANAGE_USERS = "users.manage", Role.ADMINISTRATOR
