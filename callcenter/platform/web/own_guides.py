"""Guides of the pages that belong to no room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "web/start.html",
        N_(
            "This is the first page after you sign in. It is empty when your role has no pages yet."
        ),
        steps=(
            GuideLine(
                N_(
                    "Ask the administrator which role you should have. A new role takes effect "
                    "when you sign in again."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "If you expected pages here, your name or role may be a different one: your "
                    "name stands at the top of the page."
                )
            ),
        ),
    ),
    Guide(
        "web/examples.html",
        N_(
            "This page shows what all other pages are built of: colours, buttons, "
            "fields, messages and tables."
        ),
        steps=(
            GuideLine(
                N_(
                    "It is for the people who add pages. Take what is here before you make "
                    "something new."
                )
            ),
            GuideLine(N_("Look at it in light and in dark, and on a narrow screen.")),
        ),
        troubles=(GuideLine(N_("Nothing on this page is saved or sent.")),),
    ),
    Guide(
        "web/password.html",
        N_("Here you change your own password."),
        steps=(
            GuideLine(
                N_(
                    "Type the old password, then the new one twice. A few words that only you "
                    "connect are easy to remember and hard to guess."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "After the change every other browser in which you were signed in is signed "
                    "out. This is how you end a sign-in that is not yours."
                )
            ),
            GuideLine(
                N_(
                    "If you have forgotten the old password, ask the administrator to invite "
                    "you again."
                )
            ),
        ),
    ),
    Guide(
        "web/second_factor.html",
        N_(
            "This page tells whether a second factor guards your account: a code from "
            "your telephone beside the password."
        ),
        steps=(
            GuideLine(
                N_(
                    "Look how many recovery codes are left. Each lets you in once when the "
                    "telephone is not at hand."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "If the telephone is lost, sign in with a recovery code and tell the "
                    "administrator at once."
                )
            ),
            GuideLine(
                N_(
                    "If codes are called wrong again and again, check that the clock of the "
                    "telephone is right."
                )
            ),
        ),
    ),
    Guide(
        "web/enrolment.html",
        N_("Here you set up the second factor: a code from your telephone beside the password."),
        steps=(
            GuideLine(
                N_(
                    "Open an application for one-time codes on your telephone, scan the square, "
                    "and type the code that it shows."
                )
            ),
            GuideLine(
                N_(
                    "Then write the recovery codes down and store them away from the telephone: "
                    "they are shown once."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "If the code is called wrong, check that the clock of the telephone is "
                    "right, and type the next one."
                )
            ),
        ),
    ),
)
