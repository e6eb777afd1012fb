"""How live figures are said to people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from callcenter.appeals.wording import LANGUAGES, OUTCOMES, URGENCIES
from callcenter.consultants.history import PauseReason
from callcenter.consultants.holds import ALL, QUEUES
from callcenter.consultants.orders import Mode
from callcenter.consultants.wording import name_of
from callcenter.errors import N_
from callcenter.live import figures
from callcenter.live.figures import GOAL, Alarmed, Figures, OnDuty, Waiting
from callcenter.web.words import Words, length

#: Each group with the sign that tells it from the others where colours do not.
GROUPS = {
    "free": ("●", N_("Free")),
    "ringing": ("◔", N_("Being rung")),
    "talking": ("◆", N_("Talking")),
    "wrap_up": ("✎", N_("After a conversation")),
    "paused": ("‖", N_("On a pause")),
    "held_back": ("▲", N_("Ready, but offered nothing")),
    "signed_out": ("○", N_("Signed out")),
}

WHY = {
    "offered": N_("a call is given"),
    "ringing": N_("the telephone rings"),
    "telephone_not_registered": N_("the telephone is not connected"),
    "telephone_in_use": N_("the telephone is in use"),
    "resting": N_("did not answer just now"),
}

#: Reasons that the desk gives by itself; those of pauses are named by the center.
REASONS = {
    "missed": N_("did not answer two calls in a row"),
    "page_gone": N_("the page of work was closed"),
    "telephone": N_("the telephone is not connected"),
    "off_roster": N_("disabled as a consultant"),
}

MODES = {
    Mode.LISTEN: (N_("Listen"), N_("you listen")),
    Mode.WHISPER: (N_("Speak to the consultant alone"), N_("the consultant alone hears you")),
    Mode.JOIN: (N_("Join both"), N_("both hear you")),
    Mode.TAKE_OVER: (N_("Take over"), N_("the caller is with you")),
    Mode.LEAVE: (N_("Leave"), N_("you have left")),
}

ALARMS = {
    "nobody_signed_in": N_("Somebody waits, and nobody at work speaks the language:"),
    "urgent_waits": N_(
        "Somebody in danger, or who cannot speak, waits for a consultant, the language:"
    ),
    "not_recorded": N_("A conversation is perhaps not recorded, its language:"),
    "recorded_again": N_("Such a conversation is recorded from now on, its language:"),
    "cut_off_waits": N_("A fault cut a caller off, and nobody decides whether to call back."),
    "callback_overdue": N_("A promised callback is overdue for half an hour, its language:"),
    "danger_waits": N_("An appeal is urgent and nobody has passed it on: see the work lists."),
    "reminder_due": N_("Somebody wanted to be reminded of an appeal by now: see the work lists."),
    "appeal_overdue": N_("The term of an appeal is over: see the work lists."),
    "attachment_aside": N_(
        "A file of an appeal has a virus or cannot be checked: nobody can open it."
    ),
    "attachment_waits": N_(
        "Files of appeals wait to be checked for viruses: tell the administrator."
    ),
    "recordings_wait": N_(
        "Recordings wait to be sealed or copied: tell the administrator, nothing is lost yet."
    ),
    "recording_aside": N_(
        "A recording failed, or is not as long as its conversation: tell the records officer."
    ),
    "ledger_differs": N_(
        "The register and the telephone switch disagree on calls: tell the administrator."
    ),
    "not_as_written": N_(
        "A recording or the audit log was altered, or is not complete: tell the administrator."
    ),
    "disk_fills": N_("The disk fills, four fifths are used: tell the administrator."),
    "disk_almost_full": N_("The disk is almost full, soon nothing is recorded: make room."),
    "demand_due_soon": N_("A written demand is due soon: see the demands."),
    "demand_overdue": N_("A written demand is overdue: see the demands."),
    "none_answered": N_("Callers waited and none was answered for long, their language:"),
    "message_overdue": N_("A message was heard by nobody for half an hour, its language:"),
}


TALL = 5  #: callers that fill the picture, so that one caller does not look like a crowd
LOW = 2.0  #: height of a bar for nobody


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the picture; y is that of its upper edge, downwards."""

    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class OfRegister:
    """A call of the register, in words; a dash for what is not known."""

    language: str
    caller: str
    urgent: str


@dataclass(frozen=True)
class Wording:
    """Words for one language, and the shapes of the picture."""

    words: Words

    def language(self, language: str) -> str:
        return self.words(LANGUAGES[language])

    def queue(self, queue: str) -> str:
        return self.words(N_("all queues")) if queue == ALL else self.language(queue)

    def queues(self) -> Sequence[str]:
        return QUEUES

    def modes(self) -> Sequence[str]:
        return [mode.value for mode in MODES]

    def do(self, mode: str) -> str:
        """What a supervisor does, as a button says it."""
        return self.words(MODES[Mode(mode)][0])

    def mode(self, mode: Mode) -> str:
        return self.words(MODES[mode][1])

    def of_register(self, call: figures.OfRegister | None) -> OfRegister:
        if call is None:
            return OfRegister("–", "–", "")
        urgent = ", ".join(self.words(URGENCIES.get(each, N_("other"))) for each in call.urgent)
        language = self.language(call.language) if call.language else "–"
        return OfRegister(language, call.caller or "–", urgent)

    def pause(self, reason: PauseReason) -> str:
        names = {"kk": reason.name_kk, "ru": reason.name_ru}
        return name_of(self.words, reason.code, names)

    def outcome(self, outcome: str) -> str:
        return self.words(OUTCOMES.get(outcome, N_("other")))

    def group(self, group: str) -> str:
        return self.words(GROUPS[group][1])

    def sign(self, group: str) -> str:
        return GROUPS[group][0]

    def why(self, now: Figures, consultant: OnDuty) -> str:
        """Why no call is offered, where the group alone does not say it."""
        reason = consultant.reason or ""
        message = WHY.get(consultant.why or "") or REASONS.get(reason)
        if message is not None:
            return self.words(message)
        if reason not in now.reasons:
            return ""
        return name_of(self.words, reason, now.reasons[reason])

    def alarm(self, alarm: Alarmed) -> str:
        at = self.words.clock(datetime.fromtimestamp(alarm.at, UTC))
        what = self.words(ALARMS.get(alarm.kind, N_("An alarm:")))
        return f"{at} {what} {self.language(alarm.language) if alarm.language else ''}".rstrip()

    def time(self, seconds: int) -> str:
        return length(timedelta(seconds=seconds))

    def clock(self, at: float) -> str:
        return self.words.clock(datetime.fromtimestamp(at, UTC))

    def level(self, waiting: Waiting) -> str:
        """How bad it is: `calm`, `waiting`, or `late` when somebody waits longer than the goal."""
        if waiting.longest is None:
            return "calm"
        return "late" if waiting.longest > GOAL else "waiting"

    def mark(self, average: float | None) -> str:
        return "–" if average is None else f"{average:.1f}"

    def percent(self, part: int, whole: int) -> str:
        return f"{100 * part // whole}%" if whole else "–"

    def bars(self, history: Sequence[int | None]) -> list[Bar]:
        """The picture of how many waited: bars in a box of 600 by 100.

        What was not known has no bar; nobody waiting has a low one.
        """
        top = max((count for count in history if count is not None), default=0)
        width = 600 / max(len(history), 1)
        return [
            Bar(round(n * width, 1), round(100 - height, 1), round(height, 1))
            for n, count in enumerate(history)
            if count is not None
            for height in [max(100 * count / max(top, TALL), LOW)]
        ]

    def most(self, history: Sequence[int | None]) -> str:
        """The most that waited at once, as far as it is known."""
        known = [count for count in history if count is not None]
        return str(max(known)) if known else "–"
