"""Labels of the wallboard, and shapes of its chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from callcenter.appeals.calls.labels import LANGUAGES, OUTCOMES, URGENCIES
from callcenter.consultants.labels import name_of
from callcenter.consultants.state_history import PauseReason
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator, length
from callcenter.platform.core.registry import offers
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner
from callcenter.telephony.acd.paused_queues import ALL, QUEUES
from callcenter.telephony.acd.rules.call_commands import SupervisionMode
from callcenter.wallboard import rules
from callcenter.wallboard.rules import (
    Acknowledgement,
    AlertGroup,
    ConsultantFigures,
    Figures,
    WaitingFigures,
)

#: Each group with the sign that distinguishes it without colours.
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

#: Reasons that the ACD gives by itself; those of pauses are named by the center.
REASONS = {
    "missed": N_("did not answer two calls in a row"),
    "page_gone": N_("the page of work was closed"),
    "telephone": N_("the telephone is not connected"),
    "off_roster": N_("disabled as a consultant"),
}

MODES = {
    SupervisionMode.LISTEN: (N_("Listen"), N_("you listen")),
    SupervisionMode.WHISPER: (
        N_("Speak to the consultant alone"),
        N_("the consultant alone hears you"),
    ),
    SupervisionMode.JOIN: (N_("Join both"), N_("both hear you")),
    SupervisionMode.TAKE_OVER: (N_("Take over"), N_("the caller is with you")),
    SupervisionMode.LEAVE: (N_("Leave"), N_("you have left")),
}

OWNERS = {
    AlertOwner.SENIOR: N_("Senior consultant"),
    AlertOwner.HEAD: N_("Head"),
    AlertOwner.RECORDS_OFFICER: N_("Records officer"),
    AlertOwner.ADMINISTRATOR: N_("Administrator"),
}

TALL = 5  #: callers that fill the picture, so that one caller does not look like a crowd
LOW = 2.0  #: height of a bar for zero


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the picture; y is that of its upper edge, downwards."""

    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class AppealSummaryLabels:
    """An appeal on the call board, in words; a dash for an unknown value."""

    language: str
    caller: str
    urgent: str


@dataclass(frozen=True)
class WallboardLabels:
    """Words for one language, and the shapes of the picture."""

    words: Translator

    def language(self, language: str) -> str:
        return self.words(LANGUAGES[language])

    def queue(self, queue: str) -> str:
        return self.words(N_("all queues")) if queue == ALL else self.language(queue)

    def queues(self) -> Sequence[str]:
        return QUEUES

    def do(self, mode: str) -> str:
        """The label of a button that starts this mode."""
        return self.words(MODES[SupervisionMode(mode)][0])

    def mode(self, mode: SupervisionMode) -> str:
        return self.words(MODES[mode][1])

    def of_register(self, call: rules.AppealSummary | None) -> AppealSummaryLabels:
        if call is None:
            return AppealSummaryLabels("–", "–", "")
        urgent = ", ".join(self.words(URGENCIES.get(each, N_("other"))) for each in call.urgent)
        language = self.language(call.language) if call.language else "–"
        return AppealSummaryLabels(language, call.caller or "–", urgent)

    def pause(self, reason: PauseReason) -> str:
        names = {"kk": reason.name_kk, "ru": reason.name_ru}
        return name_of(self.words, reason.code, names)

    def outcome(self, outcome: str) -> str:
        return self.words(OUTCOMES.get(outcome, N_("other")))

    def group(self, group: str) -> str:
        return self.words(GROUPS[group][1])

    def sign(self, group: str) -> str:
        return GROUPS[group][0]

    def why(self, now: Figures, consultant: ConsultantFigures) -> str:
        """The cause that no call is offered, where the group alone does not say it."""
        reason = consultant.reason or ""
        message = WHY.get(consultant.why or "") or REASONS.get(reason)
        if message is not None:
            return self.words(message)
        if reason not in now.reasons:
            return ""
        return name_of(self.words, reason, now.reasons[reason])

    def alert(self, alert: AlertGroup) -> str:
        """The event with its language and number, without its time."""
        if not alert.label:
            return self.words.plain(N_("An alarm:")) + f" {alert.kind}"
        language = self.language(alert.language) if alert.language else ""
        said = f"{self.words.plain(alert.label)} {language}{', '.join(alert.subjects)}".rstrip()
        return f"{said} · {alert.count}" if alert.count > 1 else said

    def alert_since(self, alert: AlertGroup) -> str:
        """The time of the oldest; an open one may be of another day."""
        moment = self.words.moment if alert.id else self.words.clock
        return moment(datetime.fromtimestamp(alert.since, UTC))

    def acknowledged(self, each: Acknowledgement) -> str:
        kind = next((kind for kind in offers(AlertKind) if kind.key == each.kind), None)
        language = self.language(each.language) if each.language in LANGUAGES else ""
        return f"{self.words.plain(kind.label) if kind else each.kind} {language}".rstrip()

    def owner(self, owner: AlertOwner) -> str:
        return self.words(OWNERS[owner])

    def time(self, seconds: int) -> str:
        return length(timedelta(seconds=seconds))

    def clock(self, at: float) -> str:
        return self.words.clock(datetime.fromtimestamp(at, UTC))

    def level(self, waiting: WaitingFigures, goal: int) -> str:
        """The level: `calm`, `waiting`, or `late` when a wait is longer than the goal (seconds)."""
        if waiting.longest is None:
            return "calm"
        return "late" if waiting.longest > goal else "waiting"

    def mark(self, average: float | None) -> str:
        return "–" if average is None else f"{average:.1f}"

    def percent(self, part: int, whole: int) -> str:
        return f"{100 * part // whole}%" if whole else "–"

    def bars(self, history: Sequence[int | None]) -> list[Bar]:
        """The chart of waiting callers: bars in a box of 600 by 100.

        An unknown number has no bar; zero has a low one.
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
        """The highest number of waiting callers; a dash when none is known."""
        counts = [count for count in history if count is not None]
        return str(max(counts)) if counts else "–"
