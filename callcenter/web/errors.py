"""Errors of the pages and the API, and the one table that gives each family its HTTP status."""

from sqlalchemy import exc

from callcenter.errors import AskedWrongly, Conflict, NotReady, Stale, WeFailed


class SignInNeeded(AskedWrongly):
    """Sign in first."""


class SignInRefused(AskedWrongly):
    """The name or the password is wrong."""


class ProviderRefused(AskedWrongly):
    """The organisation's sign-in does not let this person in here; `why` says it in one word."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class CodeRefused(AskedWrongly):
    """The code is wrong, or was used before."""


class Forbidden(AskedWrongly):
    """Your role does not permit this."""


class NotFound(AskedWrongly):
    """There is nothing at this address."""


class TooLarge(AskedWrongly):
    """More was sent than this takes."""


class NotSatisfiable(AskedWrongly):
    """The part that was asked for is not within the file."""


class TooManyTries(AskedWrongly):
    """There were too many tries to sign in: wait 15 minutes."""


class VersionNeeded(AskedWrongly):
    """Say in If-Match which version you change: it is the ETag of what you read."""


class KeyReused(AskedWrongly):
    """This Idempotency-Key came with another request before: make a new key for each request."""


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
    (TooManyTries, 429),
    (KeyReused, 422),
    (VersionNeeded, 428),
    (Stale, 412),
    (Conflict, 409),
    (AskedWrongly, 400),
    (NotReady, 503),
    # A value that no table can hold, as a text with the character NUL.
    (exc.DataError, 400),
    (exc.OperationalError, 503),
    (exc.TimeoutError, 503),
    (WeFailed, 500),
    (Exception, 500),
)


def status_of(error: Exception) -> int:
    """The HTTP status that tells this error."""
    return next(status for family, status in STATUS if isinstance(error, family))
