"""Permissions on the authority's demands."""

from callcenter.platform.identity.permissions import Permission, Role


class DemandPermission(Permission):
    """Permissions on the authority's demands, with the roles that have them."""

    #: to register the authority's demands, search and check
    HANDLE_DEMANDS = "demands.handle", Role.RECORDS_OFFICER, Role.HEAD
    #: to begin at the records office
    WORK_IN_RECORDS_OFFICE = "demands.records_office", Role.RECORDS_OFFICER
    #: to let go what somebody else prepared, to refuse
    RELEASE_DEMANDS = "demands.release", Role.HEAD
    #: the authority's own: to demand, take what is released
    FILE_DEMANDS = "demands.file", Role.AUTHORITY
