"""Two families of errors: somebody asked wrongly, or we failed.

The docstring of an error is its message when none is given, so a message cannot be forgotten.
Say what was being attempted when you wrap: `raise WeFailed("cannot start ...") from exc`.
"""

from typing import Any


def N_(message: str) -> str:  # noqa: N802 - gettext's own name, known to its tools
    """Mark a message for translation where it is written; pages translate it where it is shown."""
    return message


class CallcenterError(Exception):
    """Something went wrong in the contact center."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())

    @property
    def told(self) -> dict[str, Any]:
        """What programs are told besides the message: members of problem details (RFC 9457)."""
        return {}


class AskedWrongly(CallcenterError):
    """The request cannot be carried out as it was made."""


class Conflict(AskedWrongly):
    """It was right when you saw it, and is not any more."""


class Stale(Conflict):
    """Somebody else has changed this since you read it: read it again."""


class WeFailed(CallcenterError):
    """The request was right, and we could not carry it out."""


class NotReady(WeFailed):
    """A part that this needs (database, switch, program, free port) is not there."""
