"""Admission: a controller that is late itself claims no new calls until it is not.

What it has already it serves on, later than usual; who calls now is served by the dialplan's
fallback, which is not late. See `docs/decisions/0083`.
"""

from collections import deque

#: Parts of the limit. So much in the mean closes too: a call takes a dozen turns of the loop until
#: a consultant rings, each of them as late. Less than `CALM_BELOW` in the mean is as on a machine
#: that has something left; a controller that only has nothing to do itself is later.
CLOSE_ABOVE, CALM_BELOW = 0.2, 0.1
MEAN_PERIOD = 2.0  # seconds
MEAN_OF = 5  # latenesses at least: one of them alone is no overload
REOPEN_AFTER = 2.0  # seconds for which the mean must have been calm
#: The same after a relapse, and no more: calls come back 10 s after a load's end.
REOPEN_AFTER_RELAPSE = 4.0
RELAPSE_LIMIT = 30.0  # seconds after which closing is no relapse
#: Claims by t seconds after an opening: so much times the square of t, until a relapse is none. A
#: call makes late when a consultant is to be rung, seconds after its claim.
CLAIMS_GROWTH = 1.0


class AdmissionControl:
    """Whether new calls are admitted, by how late the controller is."""

    def __init__(self, limit: float) -> None:
        """`limit`: seconds by which the loop turns, or an event of Asterisk comes, late."""
        self._limit = limit
        self.is_closed = False
        self.mean = 0.0  #: seconds, of the latest
        self._latest: deque[tuple[float, float]] = deque()
        self._strained_at = self._opened_at = float("-inf")
        self._reopen_after = REOPEN_AFTER
        self._claims = 0  # since the opening

    def admits(self, now: float) -> bool:
        """Return whether a call that comes now is to be claimed: few at first after an overload."""
        since = now - self._opened_at
        if self.is_closed or (
            since < RELAPSE_LIMIT and self._claims > CLAIMS_GROWTH * since * since
        ):
            return False
        self._claims += 1
        return True

    def observe(self, now: float, lateness: float) -> bool:
        """Take in a lateness, both in seconds; return whether that closed or opened admission."""
        before = self.is_closed
        self._latest.append((now, lateness))
        while now - self._latest[0][0] > MEAN_PERIOD:
            self._latest.popleft()
        self.mean = sum(each for _, each in self._latest) / len(self._latest)
        if self.mean >= CALM_BELOW * self._limit:
            self._strained_at = now
        is_lasting = len(self._latest) >= MEAN_OF and self.mean >= CLOSE_ABOVE * self._limit
        if lateness >= self._limit or is_lasting:
            if not self.is_closed:
                has_relapsed = now - self._opened_at < RELAPSE_LIMIT
                self._reopen_after = REOPEN_AFTER_RELAPSE if has_relapsed else REOPEN_AFTER
            self.is_closed = True
        elif self.is_closed and now - self._strained_at >= self._reopen_after:
            self.is_closed = False
            self._opened_at, self._claims = now, 0
        return self.is_closed != before
