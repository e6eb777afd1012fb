"""Periodic jobs of the worker itself, beside those of rooms."""

from callcenter.platform.core.registry import Room
from callcenter.worker.alerts import ALERTS

ROOM = Room(
    name="worker",
    jobs=(
        "callcenter.worker.nightly_verification",
        "callcenter.worker.recording_alerts",
    ),
    offers=ALERTS,
)
