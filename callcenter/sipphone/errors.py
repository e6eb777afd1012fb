"""Errors of calls of the telephone."""

from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed


class Refused(OperationFailed):
    """The other side refused what was asked of it."""

    def __init__(self, method: str, status: int, reason: str) -> None:
        super().__init__(f"{method} was refused: {status} {reason}".rstrip())
        self.method, self.status, self.reason = method, status, reason


class NoAnswer(DependencyUnavailable):
    """The other side did not answer at all."""


class CallOver(OperationFailed):
    """The call had ended before this could be done."""
