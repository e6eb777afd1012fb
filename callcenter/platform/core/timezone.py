"""The time zone of the center: times are stored in UTC and shown in Asia/Almaty."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Almaty")


def midnight(day: date) -> datetime:
    """The beginning of the day, in Asia/Almaty."""
    return datetime.combine(day, time(), ZONE)
