"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "intake/new.html",
        N_(
            "Here you open an appeal that did not come by telephone: a letter, a visit, "
            "another channel."
        ),
        steps=(
            GuideLine(
                N_(
                    "Choose how it came, the language of the applicant, and the day and time "
                    "when it came, not when you enter it."
                )
            ),
            GuideLine(
                N_(
                    "Type or attach what is written: it waits for the next consultant of that "
                    "language, unless you deal with it yourself."
                )
            ),
            GuideLine(N_("The record opens next. There you write what it is about.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Look first whether the same letter was entered before: search by the name "
                    "or the telephone."
                )
            ),
            GuideLine(N_("A day in the future is refused, for deadlines are counted from it.")),
        ),
    ),
)
