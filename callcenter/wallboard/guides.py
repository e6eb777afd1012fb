"""Guides of the pages of this room."""

from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideKey, GuideLine
from callcenter.wallboard.permissions import WallboardPermission

GUIDES = (
    Guide(
        "wallboard/live.html",
        N_("This board shows the line now: who waits, who talks, and what went wrong today."),
        steps=(
            GuideLine(N_("Look at the top first: alarms, callers in danger, the longest wait.")),
            GuideLine(
                N_("Open a consultant to listen, to help or to send to a pause."),
                WallboardPermission.HEAR_CALLS,
            ),
            GuideLine(
                N_("Open the queue to hand a caller out, or to hold calls back for some minutes."),
                WallboardPermission.DIRECT,
            ),
            GuideLine(
                N_("You see figures and states, and no calls of people."),
                without=WallboardPermission.DIRECT,
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A question mark in place of a figure means unknown, not zero: the queue or "
                    "the database does not answer."
                )
            ),
            GuideLine(
                N_(
                    "If the page says that it has no connection, trust none of its figures. "
                    "Reload it, then call the administrator."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "wallboard/alerts.html",
        N_("These alarms wait until somebody acknowledges them."),
        steps=(
            GuideLine(
                N_(
                    "The gravest stands first. What nobody acknowledges is sent outside this "
                    "page, by e-mail or to another program, if the administrator has set it up. "
                    "A danger sounds until it is acknowledged."
                )
            ),
            GuideLine(N_("Go there, do what is needed, and acknowledge the alarm afterwards.")),
        ),
        troubles=(
            GuideLine(
                N_(
                    "You can acknowledge alarms that are for your role; the head can "
                    "acknowledge all."
                )
            ),
            GuideLine(
                N_(
                    "If alarms are silent, press the button that turns their sound on: a "
                    "browser waits for that."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "wallboard/consultant.html",
        N_(
            "Here you are with one consultant: hear the conversation, help in it, or "
            "send to a pause."
        ),
        steps=(
            GuideLine(
                N_(
                    "Write the reason, choose how you join, and answer your own telephone when "
                    "it rings."
                ),
                WallboardPermission.HEAR_CALLS,
            ),
            GuideLine(
                N_("Begin by listening; speak to the consultant alone before you join both."),
                WallboardPermission.HEAR_CALLS,
            ),
        ),
        troubles=(
            GuideLine(
                N_("If the conversation ends while you join, nothing is left to undo."),
                WallboardPermission.HEAR_CALLS,
            ),
            GuideLine(
                N_("A pause begins after the conversation; a caller is never cut off by it.")
            ),
        ),
        keys=(
            GuideKey("Alt+A", N_("Listen"), WallboardPermission.HEAR_CALLS),
            GuideKey("Alt+W", N_("Speak to the consultant alone"), WallboardPermission.HEAR_CALLS),
            GuideKey("Alt+J", N_("Join both"), WallboardPermission.HEAR_CALLS),
            GuideKey("Alt+O", N_("Take over"), WallboardPermission.HEAR_CALLS),
            GuideKey("Alt+Q", N_("Leave"), WallboardPermission.HEAR_CALLS),
        ),
        has_picture=True,
    ),
    Guide(
        "wallboard/queue.html",
        N_("Here you see call by call who waits, and decide for a while who gets whom."),
        steps=(
            GuideLine(
                N_(
                    "Choose a caller, then a free consultant, and hand the caller out. Danger "
                    "comes first by itself."
                )
            ),
            GuideLine(
                N_("Hold calls back only for what cannot wait, as a briefing, and for few minutes.")
            ),
        ),
        troubles=(
            GuideLine(
                N_("Whoever was chosen may answer another call a moment before: then choose anew.")
            ),
            GuideLine(
                N_("Callers wait on while calls are held back. Let them on as soon as you can.")
            ),
        ),
        has_picture=True,
    ),
)
