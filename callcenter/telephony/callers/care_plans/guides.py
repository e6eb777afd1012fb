"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "care_plans/care_plans.html",
        N_("A plan says who talks with a frequent caller, when, and how."),
        steps=(
            GuideLine(
                N_("Agree it with the caller and the consultant first, then write it down here.")
            ),
            GuideLine(
                N_("Write the note for whoever answers at night: what helps, what to avoid.")
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Review a plan on its day, and end it when it is not needed any more: it "
                    "goes on until then."
                )
            ),
            GuideLine(
                N_(
                    "If the consultant is not free, the caller waits as others do, and whoever "
                    "answers sees the note."
                )
            ),
        ),
        has_picture=True,
    ),
)
