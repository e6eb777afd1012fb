"""Permissions on figures."""

from callcenter.platform.identity.permissions import Permission, Role


class ReportPermission(Permission):
    """Permissions on figures, with the roles that have them."""

    #: figures of any days, and the appeals that they count
    VIEW_FIGURES = "figures.view", Role.SENIOR, Role.HEAD
