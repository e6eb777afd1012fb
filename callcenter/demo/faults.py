"""What can go wrong with a call of the telephone, besides being asked wrongly."""

from callcenter.errors import NotReady, WeFailed


class Refused(WeFailed):
    """The other side refused what was asked of it."""

    def __init__(self, method: str, status: int, reason: str) -> None:
        super().__init__(f"{method} was refused: {status} {reason}".rstrip())
        self.method, self.status, self.reason = method, status, reason


class NoAnswer(NotReady):
    """The other side did not answer at all."""


class CallOver(WeFailed):
    """The call had ended before this could be done."""
