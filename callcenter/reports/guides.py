"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "reports/figures.html",
        N_("How the line worked on days that are over: calls, waiting, callers, consultants."),
        steps=(
            GuideLine(N_("Choose yesterday, last month or any days, and press Show.")),
            GuideLine(
                N_(
                    "A press on a number opens the appeals that it counts; a press on a day opens "
                    "its hours. What each figure counts stands at the foot of the page."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "If two figures seem to contradict each other, read what they count: a call "
                    "belongs to the hour and day in which it came."
                )
            ),
        ),
    ),
    Guide(
        "reports/calls.html",
        N_("These are the appeals of the calls that the figure counts, the newest first."),
        steps=(GuideLine(N_("Open one to see its call, or go back and choose another figure.")),),
        troubles=(
            GuideLine(
                N_("An appeal that is missing here was not counted: open the other figures.")
            ),
        ),
    ),
)
