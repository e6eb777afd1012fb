"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "requests/new.html",
        N_("Here you begin a request to a state body about one appeal."),
        steps=(
            GuideLine(N_("Choose the body: those that are competent stand first.")),
            GuideLine(N_("For each part of the matter that another body decides, begin another.")),
        ),
        troubles=(
            GuideLine(N_("The direction decides which fields the body may have without a reason.")),
        ),
    ),
    Guide(
        "requests/request.html",
        N_("One request to a state body: what leaves, and what became of it."),
        steps=(
            GuideLine(N_("Write what the body is to do, and choose the fields that it needs.")),
            GuideLine(N_("Read the preview to the end: exactly that leaves.")),
            GuideLine(
                N_("Hand it over when it leaves, and enter the number that the body gave it.")
            ),
            GuideLine(N_("Then tell the applicant which body has it, and note how.")),
        ),
        troubles=(
            GuideLine(
                N_("What may identify somebody is marked: take it out, or say that it may leave.")
            ),
            GuideLine(
                N_(
                    "Look at each file before you release it: a picture may show more than is"
                    " needed."
                )
            ),
        ),
    ),
)
