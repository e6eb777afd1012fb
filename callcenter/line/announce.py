"""What a waiting caller is told of the queue: place and expected wait, in prompts of any language.

Both prompts end in a colon, so that a bare cardinal is right in Kazakh and in Russian.
"""

from math import ceil

HIGHEST = 100  # numbers are spoken up to here; beyond it a number only discourages
LONG = 10  # minutes beyond which the wait is not promised


def queue_prompts(position: int, expected_wait: float | None) -> list[str]:
    """Prompt ids that tell the place in the queue (1 is next) and the wait in seconds, if known."""
    return [*_place(position), *_wait(expected_wait)]


def _place(position: int) -> list[str]:
    if position <= 1:
        return ["queue_next"]
    if position > HIGHEST:
        return ["queue_hold"]
    return ["queue_position", f"number_{position}"]


def _wait(expected_wait: float | None) -> list[str]:
    if expected_wait is None:
        return []
    if expected_wait < 60:
        return ["queue_wait_lt1"]
    minutes = ceil(expected_wait / 60)
    return ["queue_wait_gt10"] if minutes > LONG else ["queue_wait", f"number_{minutes}"]
