"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "consultants/consultants.html",
        N_(
            "These are all consultants: languages, skills and teams. They decide which "
            "calls come to whom."
        ),
        steps=(
            GuideLine(N_("Open a consultant to change languages, skills or the team.")),
            GuideLine(
                N_(
                    "The center's own skills and reasons of pauses are a list of their own, "
                    "above the table."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Somebody who is missing here takes no calls yet: the administrator gives "
                    "the user an extension."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "consultants/consultant.html",
        N_("Here you say which calls one consultant gets, and in whose team the consultant is."),
        steps=(
            GuideLine(
                N_("Tick the languages that are spoken well enough for a frightened caller.")
            ),
            GuideLine(
                N_(
                    "Give skills with levels: 5 is the best, and a call that needs a level goes "
                    "no lower."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A language that nobody at work speaks makes its callers wait. Look at the "
                    "page of now after a change."
                )
            ),
            GuideLine(
                N_(
                    "A change counts from the next call; the conversation that goes on is not "
                    "touched."
                )
            ),
        ),
    ),
    Guide(
        "consultants/lists.html",
        N_("These are the center's own lists: skills of consultants and reasons of pauses."),
        steps=(
            GuideLine(
                N_("Name each in Kazakh and in Russian, in a few letters: they stand on buttons.")
            ),
            GuideLine(N_("A reason with a key can be dialled on a desk telephone.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "An entry that is not needed is taken out of use, not deleted: earlier "
                    "pauses keep their reason."
                )
            ),
        ),
    ),
)
