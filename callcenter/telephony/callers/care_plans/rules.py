"""Rules of care plans for frequent callers: texts and the date of the next review."""

from datetime import date, timedelta

from callcenter.platform.core.errors import InvalidRequest

LONGEST_TIMES, LONGEST_NOTE = 200, 2000  #: characters
LONGEST = timedelta(days=180)  #: until a supervisor reviews a plan


def check_text(text: str, longest: int) -> str:
    """The text, trimmed. Raises InvalidRequest when it is empty or too long."""
    trimmed = text.strip()
    if not 1 <= len(trimmed) <= longest or "\x00" in trimmed:
        raise InvalidRequest(f"a plan says when and how in 1 to {longest} characters each")
    return trimmed


def check_review(review_on: date, today: date) -> date:
    """The date of the next review. Raises InvalidRequest unless it comes within 180 days."""
    if not today < review_on <= today + LONGEST:
        raise InvalidRequest("a plan is reviewed within 180 days from today")
    return review_on
