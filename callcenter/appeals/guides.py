"""Guides of the pages of this room."""

from callcenter.appeals.permissions import AppealPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.guides import Guide, GuideKey, GuideLine
from callcenter.recordings.permissions import RecordingPermission

GUIDES = (
    Guide(
        "appeals/search.html",
        N_("Here you find an appeal and open it."),
        steps=(
            GuideLine(
                N_("Type a number, a telephone, a name or words from the appeal and press Find."),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "Fold out what narrows the list: stage, region, deadline, days. A search "
                    "that you need often can be saved by a name of yours."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "You see numbers of appeals and masked telephones. Find an appeal by its "
                    "number."
                ),
                without=AppealPermission.EDIT_APPEALS,
            ),
        ),
        troubles=(
            GuideLine(
                N_("If nothing is found, use fewer words, or only the beginning of a name."),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "The last digit of a number checks the others: when it is called mistyped, "
                    "ask for it again."
                )
            ),
            GuideLine(
                N_(
                    "A file with whole telephone numbers needs a reason, and the reason is in "
                    "the audit log."
                ),
                AppealPermission.EXPORT_PERSONAL,
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "appeals/appeal.html",
        N_(
            "This is everything about one appeal: its record, its calls and recordings, "
            "and what was done."
        ),
        steps=(
            GuideLine(
                N_(
                    "Choose the kind and the topic, write what it is about and what helped, "
                    "then save."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "A preset fills the answers of an ordinary consultation in with one press; "
                    "what you typed stays."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "What is rarely needed is folded below: people, files, letters, safe "
                    "contact, reminders."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "You read how the call went, moment by moment. What was said and written is "
                    "not shown to your role."
                ),
                without=AppealPermission.EDIT_APPEALS,
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "In danger note first who was told, the body and the officer on duty; "
                    "everything else can wait."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "What you type is kept as a draft. If somebody else saved meanwhile, both "
                    "texts are shown and you decide."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideLine(
                N_(
                    "Before you call or write, look at what the person said about safe contact. "
                    "It may be unsafe."
                ),
                AppealPermission.EDIT_APPEALS,
            ),
        ),
        keys=(
            GuideKey("Ctrl+S", N_("save"), AppealPermission.EDIT_APPEALS),
            GuideKey("Ctrl+Enter", N_("save and close the appeal"), AppealPermission.EDIT_APPEALS),
            GuideKey(
                "Alt+N",
                N_("No request: close it; then the digit of what it was"),
                AppealPermission.EDIT_APPEALS,
            ),
            GuideKey("0–9", N_("open a folded part"), AppealPermission.EDIT_APPEALS),
        ),
        has_picture=True,
    ),
    Guide(
        "appeals/work.html",
        N_("These lists show what waits for somebody: overdue, due today, urgent, unfinished."),
        steps=(
            GuideLine(
                N_(
                    "Begin with lists whose number is red: there a person or a term of the law "
                    "waits."
                )
            ),
            GuideLine(
                N_("Open an appeal, do what it needs, and come back: the list is counted anew.")
            ),
        ),
        troubles=(
            GuideLine(
                N_("An appeal stays on a list until its cause is gone. To open it is not enough.")
            ),
            GuideLine(
                N_(
                    "If an appeal is not yours to deal with, tell its owner, who is named on "
                    "its page."
                )
            ),
        ),
        keys=(GuideKey("0–9", N_("choose a list")),),
        has_picture=True,
    ),
    Guide(
        "appeals/recordings.html",
        N_("Here you find recordings that you may hear."),
        steps=(
            GuideLine(
                N_(
                    "Give the number of the appeal, or a consultant, days or the length, and "
                    "press Find."
                )
            ),
            GuideLine(
                N_("Open a recording: you are asked for the reason before you hear anything.")
            ),
            GuideLine(
                N_("You find your own conversations."), without=RecordingPermission.LISTEN_TO_TEAM
            ),
            GuideLine(
                N_("You find the conversations of your team, too."),
                RecordingPermission.LISTEN_TO_TEAM,
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "A recording that you miss may be another team's, may be erased, or may not "
                    "be stored yet."
                )
            ),
        ),
    ),
    Guide(
        "appeals/recording.html",
        N_("Here you hear one recording. The caller and the consultant are on sides of their own."),
        steps=(
            GuideLine(N_("Choose why you listen. The reason and your name go into the audit log.")),
            GuideLine(N_("Listen where nobody else hears it.")),
            GuideLine(
                N_(
                    "If a court or the authority needs the recording, hold it: nobody can erase "
                    "it then."
                ),
                RecordingPermission.ERASE,
            ),
        ),
        troubles=(
            GuideLine(
                N_(
                    "If it does not play, give the reason again or open the page anew. If it "
                    "still does not, tell the administrator."
                )
            ),
            GuideLine(
                N_("To erase it you ask here; another person decides."), RecordingPermission.ERASE
            ),
        ),
        keys=(
            GuideKey("␣", N_("play and pause")),
            GuideKey("← →", N_("5 seconds back and on")),
            GuideKey("1 2 3", N_("who is heard")),
            GuideKey("+ −", N_("speed")),
        ),
        has_picture=True,
    ),
    Guide(
        "appeals/masking.html",
        N_(
            "Here personal data of closed appeals are erased for ever, by a request of "
            "the person or by a rule."
        ),
        steps=(
            GuideLine(
                N_(
                    "Read what would be masked before you decide. Numbers and dates stay, names "
                    "and texts do not."
                )
            ),
            GuideLine(
                N_(
                    "For a rule choose the kind and the days, look at what it would mask, then "
                    "request it."
                )
            ),
        ),
        troubles=(
            GuideLine(N_("You cannot decide on your own request: another person does.")),
            GuideLine(
                N_(
                    "An appeal that is open, held or demanded is left out until its reason is "
                    "gone; the page says which."
                )
            ),
        ),
        has_picture=True,
    ),
    Guide(
        "appeals/form.html",
        N_("These are the questions of the record that consultants fill in."),
        steps=(
            GuideLine(N_("Open a question to change its names, its answers or who sees it.")),
            GuideLine(
                N_(
                    "A new question needs names in three languages and a code that is never "
                    "changed."
                )
            ),
        ),
        troubles=(
            GuideLine(N_("Ask as little as you can: each question lengthens every call.")),
            GuideLine(N_("Old records keep the answers of a question that is no longer in use.")),
        ),
    ),
    Guide(
        "appeals/field.html",
        N_("Here you change one question of the record."),
        steps=(
            GuideLine(
                N_(
                    "Change its names in all three languages together: each consultant sees one "
                    "of them."
                )
            ),
            GuideLine(
                N_("Answers stand one a line. A dash at the end of a line retires an answer.")
            ),
        ),
        troubles=(
            GuideLine(
                N_("An answer in use cannot be removed, and a built-in question stays in use.")
            ),
            GuideLine(
                N_(
                    "If you make a question sensitive, its answers are stored encrypted and "
                    "fewer people see them."
                )
            ),
        ),
    ),
    Guide(
        "appeals/presets.html",
        N_("A preset fills the answers of an ordinary consultation in with one press."),
        steps=(
            GuideLine(N_("Name it in three languages, shortly: it is a button above the record.")),
            GuideLine(N_("Write only what fits every such consultation.")),
        ),
        troubles=(
            GuideLine(N_("Put nothing personal into it: it would come into many records.")),
            GuideLine(N_("Records that were filled in before are not changed by a new text.")),
        ),
    ),
    Guide(
        "appeals/terms.html",
        N_("These are the terms of the law by which deadlines of appeals are counted."),
        steps=(
            GuideLine(
                N_(
                    "When the law changes, add the new term with the day from which it holds "
                    "and its article."
                )
            ),
        ),
        troubles=(
            GuideLine(N_("Deadlines that were counted before stay as they are.")),
            GuideLine(N_("A term cannot be changed or deleted. Ask a lawyer before you add one.")),
        ),
    ),
)
