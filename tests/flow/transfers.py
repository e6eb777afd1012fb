"""Stories of transfers and third parties."""

from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.calls.ports import NotAnswered
from tests.flow.story import Story

_BUSY = NotAnswered("busy")
_LATE = NotAnswered("no_answer")

#: A blank is a pause.
TRANSFERS = {
    "the caller goes to another consultant": (
        Story({"lang_choice": "0"}, consultants=["*3201# ", "*6*6 "]),
        Outcome.TALKED,
    ),
    "another consultant is asked, and gets the caller": (
        Story({"lang_choice": "0"}, consultants=["*2201#  *7", "   *5*5"]),
        Outcome.TALKED,
    ),
    "all three together, then the two": (
        Story({"lang_choice": "0"}, consultants=["*2201#  *8  *9 ", "      "]),
        Outcome.TALKED,
    ),
    "the first hangs up on the other, who has the caller": (
        Story({"lang_choice": "0"}, consultants=["*2201#  ", "      "]),
        Outcome.TALKED,
    ),
    "the other is busy": (
        Story({"lang_choice": "0"}, consultants=["*2201#  *3202#   *9", _BUSY, _LATE]),
        Outcome.TALKED,
    ),
    "back to the queue, for another language": (
        Story({"lang_choice": "0"}, consultants=["*02", ""]),
        Outcome.TALKED,
    ),
    "somebody outside helps, and leaves": (
        Story({"lang_choice": "0"}, consultants=["*477012345678#  *8   *9 "], network=["      "]),
        Outcome.TALKED,
    ),
    "the caller is left with somebody outside": (
        Story({"lang_choice": "0"}, consultants=["*477012345678#  *8 *7"], network=["      "]),
        Outcome.TALKED,
    ),
    "somebody outside, and the recording does not stop": (
        Story(
            {"lang_choice": "0"},
            consultants=["*477012345678#  *8 *7", ""],
            network=["         "],
            recording_stops=False,
        ),
        Outcome.TALKED,
    ),
}
