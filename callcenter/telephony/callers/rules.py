"""Rule of blocks and care plans: both are about a whole telephone number."""

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import InvalidRequest


def check_number(written: str) -> str:
    """The number in E.164, as calls come from it.

    Raises InvalidRequest for an incomplete number, and for short ones: those are services.
    """
    caller = parse_caller_id(written)
    if caller.kind != "number" or caller.number is None:
        raise InvalidRequest("write a whole telephone number, as in +7 701 234 56 67")
    return caller.number
