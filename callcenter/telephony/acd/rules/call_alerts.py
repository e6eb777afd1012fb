"""Alerts about one call that its appeal keeps, so that no loss of Redis ends them."""

from enum import StrEnum


class CallAlert(StrEnum):
    """Alert about a call: the key of its kind, stored in Redis and on the appeal."""

    URGENT_WAITS = "urgent_waits"
    NOT_RECORDED = "not_recorded"

    def id_of(self, call_id: str) -> str:
        """The one id of this alert about a call, in Redis and on the appeal."""
        return f"{self.value}:{call_id}"
