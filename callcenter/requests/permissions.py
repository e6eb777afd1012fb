"""Permission to make requests to state bodies."""

from callcenter.platform.identity.permissions import Permission, Role


class RequestPermission(Permission):
    """Permission to make requests to state bodies, with the roles that have it."""

    #: to compose them, to hand them over, and to note what bodies say
    MAKE_REQUESTS = (
        "requests.make",
        Role.CONSULTANT,
        Role.SENIOR,
        Role.RECORDS_OFFICER,
        Role.HEAD,
    )
