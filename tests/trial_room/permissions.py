"""Permission on the garden."""

from callcenter.platform.identity.permissions import Permission, Role


class GardenPermission(Permission):
    """Permission on the garden, with the roles that have it."""

    #: to promise trees and to plant them
    TEND = "garden.tend", Role.HEAD
