"""Guide of the page of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideLine

GUIDES = (
    Guide(
        "configuration/settings.html",
        N_("These are the settings by which the pages run now, and where each comes from."),
        steps=(
            GuideLine(N_("Look for a part of a name, or show only what somebody has set.")),
            GuideLine(
                N_(
                    "To change one, write it into the file of settings on the server and start "
                    "the processes again."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Passwords and keys are never shown. A process that was started earlier, or "
                    "with another environment, may run by other values."
                )
            ),
        ),
    ),
)
