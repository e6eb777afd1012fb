"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "sealed_numbers/sealed_numbers.html",
        N_(
            "Here the number of an anonymous caller is opened when a life is in danger, "
            "by two people."
        ),
        steps=(
            GuideLine(N_("Read why it is needed, and decide at once: somebody waits for help.")),
            GuideLine(N_("When it is shown, read it out to the rescuers. It is shown this once.")),
        ),
        troubles=(
            GuideLine(N_("Who asked cannot agree: call another person of the shift.")),
            GuideLine(N_("Each step is in the audit log, with your name.")),
        ),
    ),
)
