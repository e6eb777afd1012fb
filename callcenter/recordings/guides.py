"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "recordings/erasures.html",
        N_(
            "Here requests to erase recordings wait for a decision, and recordings "
            "whose time is over."
        ),
        steps=(
            GuideLine(N_("Read the reason and the order. Open the appeal if you are not sure.")),
            GuideLine(N_("Agree or refuse, with a reason of your own.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "What is erased cannot be heard again, by anybody. When in doubt refuse: "
                    "the request can be made again."
                )
            ),
            GuideLine(
                N_(
                    "You do not decide on what you asked for yourself. A recording that is held "
                    "is not erased."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "recordings/quarantine.html",
        N_("Here are recordings that failed or are not as long as their conversation."),
        steps=(
            GuideLine(N_("Read what is wrong and do what is written below it.")),
            GuideLine(N_("Write what became of it. Your words stay in the audit log.")),
        ),
        troubles=(
            GuideLine(N_("If you are not sure, leave it on the list and ask the administrator.")),
        ),
    ),
)
