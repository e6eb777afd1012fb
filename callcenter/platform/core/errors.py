"""Two families of errors: somebody asked wrongly, or we failed.

The docstring of an error is its message when none is given, so a message cannot be forgotten.
Say what was being attempted when you wrap: `raise OperationFailed("cannot start ...") from exc`.
"""

from typing import Any


def N_(message: str) -> str:  # noqa: N802 - gettext's own name, known to its tools
    """Mark a message for translation where it is written; pages translate it when shown."""
    return message


class CallcenterError(Exception):
    """Something went wrong in the contact center."""

    exit_status = 1  #: of a command that it ends

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())

    @property
    def problem_details(self) -> dict[str, Any]:
        """Extra members of problem details (RFC 9457), beside the message."""
        return {}


class InvalidRequest(CallcenterError):
    """The request cannot be carried out as it was made."""


class Conflict(InvalidRequest):
    """The state has changed since it was read: look again, then repeat it."""


class VersionConflict(Conflict):
    """Somebody else has changed this since you read it: read it again."""


class OperationFailed(CallcenterError):
    """The request was right, and we could not carry it out."""


class DependencyUnavailable(OperationFailed):
    """A part that this needs (database, switch, program, free port) is not there."""


class SignInNeeded(InvalidRequest):
    """Sign in first."""


class SignInRefused(InvalidRequest):
    """The name or the password is wrong."""


class ProviderRefused(InvalidRequest):
    """The organisation's sign-in does not let this person in here; `why` says it in one word."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class CodeRefused(InvalidRequest):
    """The code is wrong, or was used before."""


class Forbidden(InvalidRequest):
    """Your role does not permit this."""


class SelfApproval(InvalidRequest):
    """Another person must decide: not the one who asked for it or prepared it."""


class NotFound(InvalidRequest):
    """There is nothing at this address."""


class TooLarge(InvalidRequest):
    """More was sent than this takes."""


class NotSatisfiable(InvalidRequest):
    """The part that was asked for is not within the file."""


class RateLimited(InvalidRequest):
    """There were too many tries to sign in: wait 15 minutes."""


class PreconditionRequired(InvalidRequest):
    """Say in If-Match which version you change: it is the ETag of what you read."""


class IdempotencyKeyReused(InvalidRequest):
    """This Idempotency-Key came with another request before: make a new key for each request."""
