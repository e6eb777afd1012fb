"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "callbacks/callbacks.html",
        N_("These are promises to callers: callbacks and messages that nobody has dealt with yet."),
        steps=(
            GuideLine(
                N_(
                    "Look at what is urgent or overdue first. The system calls by itself when a "
                    "consultant is free."
                )
            ),
            GuideLine(
                N_("If many wait, let more consultants take calls in the language that waits.")
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Close a promise only when the person was reached otherwise: nobody calls "
                    "after that."
                )
            ),
            GuideLine(
                N_(
                    "A message that nobody heard is a caller who still waits: it is on a work "
                    "list, too."
                )
            ),
        ),
        has_picture=True,
    ),
)
