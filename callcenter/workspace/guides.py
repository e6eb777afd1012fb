"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideKey, GuideLine

GUIDES = (
    Guide(
        "workspace/workspace.html",
        N_(
            "This is your page for the whole shift: the call on the left, its appeal in "
            "the middle, help on the right."
        ),
        steps=(
            GuideLine(
                N_("%(key)s: calls are offered to you while this page is open."), key="Alt+T"
            ),
            GuideLine(
                N_(
                    "When it rings, the left side says who it is. Answer, and the appeal of the "
                    "call opens in the middle."
                )
            ),
            GuideLine(
                N_(
                    "Write down what it was about and what helped; %(key)s saves and closes the "
                    "appeal."
                ),
                key="Ctrl+Enter",
            ),
            GuideLine(
                N_(
                    "Before you part, say that 111 stays in the list of calls of this "
                    "telephone, and that it can be deleted there."
                )
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "In danger %(key)s calls the police, an ambulance or rescuers into the "
                    "conversation."
                ),
                key="Alt+E",
            ),
            GuideLine(
                N_(
                    "To notify a state body at once, press its button on the right: its officer "
                    "on duty is called."
                )
            ),
            GuideLine(N_("%(key)s calls a supervisor."), key="Alt+H"),
            GuideLine(
                N_("If the page breaks or is reloaded, the call and what you typed come back.")
            ),
        ),
        keys=(
            GuideKey("Alt+8", N_("Answer the call")),
            GuideKey("Alt+9", N_("Hang up")),
            GuideKey("Alt+1", N_("Hold, and back")),
            GuideKey("Alt+2", N_("Microphone off, and on")),
            GuideKey("Alt+3", N_("Transfer")),
            GuideKey("Alt+4", N_("All three together")),
            GuideKey("Alt+5", N_("Hand the caller over")),
            GuideKey("Alt+6", N_("Back to the caller")),
            GuideKey("Alt+7", N_("Let the caller go")),
            GuideKey("Alt+E", N_("Emergency services")),
            GuideKey("Alt+H", N_("Help me")),
            GuideKey("Alt+0", N_("Record of the call")),
            GuideKey("Alt+N", N_("No request: close it; then the digit of what it was")),
            GuideKey("Alt+T", N_("Take calls")),
            GuideKey("Alt+L", N_("I need longer")),
            GuideKey("Alt+D", N_("My day")),
            GuideKey("Alt+P", N_("Pause")),
            GuideKey("Alt+M", N_("Read what is written")),
        ),
        has_picture=True,
    ),
    Guide(
        "workspace/no_consultant.html",
        N_("This will be your page of work once your account is linked to a consultant."),
        steps=(
            GuideLine(
                N_("Ask the administrator to give you an extension. Then open this page again.")
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "Until then no calls come to you; appeals and lists are open to you by the "
                    "menu."
                )
            ),
        ),
    ),
)
