"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "users/users.html",
        N_("These are all people who may sign in, with their roles."),
        steps=(
            GuideLine(
                N_(
                    "Add a person with the smallest role that the work needs, and send the link "
                    "to this person alone."
                )
            ),
            GuideLine(N_("Many people at once are added by a table.")),
        ),
        troubles=(
            GuideLine(N_("Nobody is deleted. Who leaves is shut out, the same day.")),
            GuideLine(
                N_("When a second factor is due, the person sets it up at the next sign-in.")
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "users/user.html",
        N_("Here you change one person's role, telephone and sign-in."),
        steps=(
            GuideLine(N_("Save what changed. The person is signed out and signs in again.")),
            GuideLine(
                N_(
                    "For a forgotten password invite again, and send the new link to this "
                    "person alone."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Before you take a second factor away, make sure by voice or in person who "
                    "asks. Another administrator has to agree."
                )
            ),
            GuideLine(
                N_(
                    "If a telephone or a password may be in other hands, shut the person out "
                    "first and ask afterwards."
                )
            ),
        ),
    ),
    Guide(
        "users/people_table.html",
        N_("Here many people are added at once, by a table."),
        steps=(
            GuideLine(
                N_(
                    "Make the first line name the columns, as they are listed below, and one "
                    "line for each person."
                )
            ),
            GuideLine(N_("Check the table first. Nobody is added until all lines can be taken.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A line that cannot be taken is named with its reason: put it right in your "
                    "table and check again."
                )
            ),
            GuideLine(N_("The links are shown once: send them before you leave the page.")),
        ),
    ),
)
