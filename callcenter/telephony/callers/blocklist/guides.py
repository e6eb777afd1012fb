"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "blocklist/blocked.html",
        N_("Here you block a number that disturbs the line, for a time."),
        steps=(
            GuideLine(
                N_(
                    "Give the shortest time that helps, and a reason that another supervisor "
                    "understands."
                )
            ),
            GuideLine(N_("Let a number through as soon as the reason is gone.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A telephone can be shared: a child may call from it. The key of danger "
                    "works for blocked numbers, too."
                )
            ),
            GuideLine(N_("Who calls often in distress needs a plan, not a block.")),
        ),
        has_picture=True,
    ),
)
