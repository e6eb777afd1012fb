"""HTTP statuses of errors, for pages and API."""

from sqlalchemy import exc

from callcenter.platform.core.errors import (
    CodeRefused,
    Conflict,
    DependencyUnavailable,
    Forbidden,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    NotSatisfiable,
    OperationFailed,
    PreconditionRequired,
    ProviderRefused,
    RateLimited,
    SignInNeeded,
    SignInRefused,
    TooLarge,
    VersionConflict,
)

#: The first that fits counts, so the special comes before the general.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (SignInNeeded, 401),
    (SignInRefused, 401),
    (ProviderRefused, 401),
    (CodeRefused, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (TooLarge, 413),
    (NotSatisfiable, 416),
    (RateLimited, 429),
    (IdempotencyKeyReused, 422),
    (PreconditionRequired, 428),
    (VersionConflict, 412),
    (Conflict, 409),
    (InvalidRequest, 400),
    (DependencyUnavailable, 503),
    # A value that no table can hold, as a text with the character NUL.
    (exc.DataError, 400),
    (exc.OperationalError, 503),
    (exc.TimeoutError, 503),
    (OperationFailed, 500),
    (Exception, 500),
)


def status_of(error: Exception) -> int:
    """The HTTP status of this error."""
    return next(status for family, status in STATUS if isinstance(error, family))
