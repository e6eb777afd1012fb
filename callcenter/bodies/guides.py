"""Guides of the pages of this room."""

from callcenter.bodies.permissions import BodyPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "bodies/bodies.html",
        N_("All state bodies that appeals are about, with their contacts."),
        steps=(
            GuideLine(N_("Type a part of a name in any language, or a number.")),
            GuideLine(
                N_("See to contacts that nobody has verified for 90 days, or that do not work."),
                BodyPermission.VERIFY_CONTACTS,
            ),
        ),
        troubles=(
            GuideLine(
                N_("Before you read out an unverified number, say that it may have changed.")
            ),
        ),
    ),
    Guide(
        "bodies/body.html",
        N_("One body: what it is competent for, and how to reach it."),
        steps=(
            GuideLine(
                N_("Report a contact that does not work: nobody is given it from then on."),
            ),
            GuideLine(
                N_("Vouch for a contact only after you tried it yourself."),
                BodyPermission.VERIFY_CONTACTS,
            ),
            GuideLine(
                N_("When a body is renamed, add a line with the day: older papers keep its name."),
                BodyPermission.EDIT_BODIES,
            ),
            GuideLine(
                N_("Enter its working hours: what is not urgent leaves for it while it works."),
                BodyPermission.EDIT_BODIES,
            ),
        ),
        troubles=(
            GuideLine(N_("The number of the officer on duty is for the center, not for callers.")),
            GuideLine(
                N_("A line that you change has to be verified anew."), BodyPermission.EDIT_BODIES
            ),
        ),
    ),
    Guide(
        "bodies/new_body.html",
        N_("Here you enter a body that the directory does not have."),
        steps=(
            GuideLine(N_("Choose the body above it: what it cannot answer falls to that one.")),
            GuideLine(N_("Tick only the directions and topics that it decides itself.")),
        ),
        troubles=(GuideLine(N_("The code stays for ever: files and links name the body by it.")),),
    ),
    Guide(
        "bodies/file.html",
        N_("Here you take the directory as a file, and bring it back changed."),
        steps=(
            GuideLine(N_("Export first, and change the rows that are to be changed.")),
            GuideLine(N_("Look at what would change before you store it.")),
        ),
        troubles=(
            GuideLine(N_("A row that is wrong is named, and nothing is stored.")),
            GuideLine(N_("A changed contact has to be verified anew: a file vouches for nothing.")),
        ),
    ),
    Guide(
        "bodies/competence.html",
        N_("Which body is competent for a topic or direction at a place, and what is not covered."),
        steps=(
            GuideLine(N_("Choose a topic or a direction, and the place.")),
            GuideLine(
                N_("Fill the holes: enter contacts, and verify them."),
                BodyPermission.VERIFY_CONTACTS,
            ),
        ),
        troubles=(
            GuideLine(
                N_("A body without a contact that works is passed over: the page says which.")
            ),
        ),
    ),
)
