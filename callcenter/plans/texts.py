"""What a plan for a frequent caller may say, and when it is looked at again."""

from datetime import date, timedelta

from callcenter.appeals.callers import read_caller
from callcenter.errors import AskedWrongly

LONGEST_TIMES, LONGEST_NOTE = 200, 2000  #: characters
LONGEST = timedelta(days=180)  #: until a supervisor looks at a plan again


def check_number(written: str) -> str:
    """The number in E.164, as calls come from it. Raises AskedWrongly for what is no whole one."""
    caller = read_caller(written)
    if caller.kind != "number" or caller.number is None:
        raise AskedWrongly("a plan is for a whole telephone number, as in +7 701 234 56 67")
    return caller.number


def check_text(text: str, longest: int) -> str:
    """The text without spaces around it. Raises AskedWrongly when it is empty or too long."""
    trimmed = text.strip()
    if not 1 <= len(trimmed) <= longest or "\x00" in trimmed:
        raise AskedWrongly(f"a plan says when and how in 1 to {longest} characters each")
    return trimmed


def check_review(review_on: date, today: date) -> date:
    """The day of the next review. Raises AskedWrongly unless it comes within 180 days."""
    if not today < review_on <= today + LONGEST:
        raise AskedWrongly("a plan is reviewed within 180 days from today")
    return review_on
