"""Two families of errors: somebody asked wrongly, or we failed.

The docstring of an error is its message when none is given, so a message cannot be forgotten.
Say what was being attempted when you wrap: `raise WeFailed("cannot start ...") from exc`.
"""


class CallcenterError(Exception):
    """Something went wrong in the contact center."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class AskedWrongly(CallcenterError):
    """The request cannot be carried out as it was made."""


class WeFailed(CallcenterError):
    """The request was right, and we could not carry it out."""


class NotReady(WeFailed):
    """A part that this needs (database, switch, program, free port) is not there."""
