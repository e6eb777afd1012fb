"""Channels of appeals that no call opens (R7)."""

from enum import StrEnum


class ContactChannel(StrEnum):
    """The channel of an appeal that no call opened."""

    PORTAL = "portal"
    EMAIL = "email"
    PAPER = "paper"
    WALK_IN = "walk_in"
    VIDEO = "video"  #: a video conference
    MESSENGER = "messenger"
