"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "working_calendar/years.html",
        N_("Terms of the law are counted in working days by this calendar."),
        steps=(
            GuideLine(N_("Enter the next year as soon as the government has published it.")),
            GuideLine(N_("Open a year to see its days, or to correct it after a decree.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Without the next year deadlines that reach into it cannot be counted, and "
                    "appeals cannot be registered."
                )
            ),
        ),
    ),
    Guide(
        "working_calendar/year.html",
        N_("Here you enter one year: days off beside weekends, and weekends that are worked."),
        steps=(
            GuideLine(N_("Write one day a line, as the lines of the year before are written.")),
            GuideLine(
                N_("Look at the months above after you saved, and compare them with the decree.")
            ),
        ),
        troubles=(
            GuideLine(
                N_("A line that is wrong is named, and nothing is saved: what you typed stays.")
            ),
            GuideLine(N_("Deadlines that were counted before stay as they are.")),
        ),
    ),
)
