"""Words for figures: what each counts, tables and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator, length
from callcenter.reports.plots import Plot, PlotColumn, draw, make_scale
from callcenter.reports.rules import CallFigures, Measure, Period

#: Each figure with what it counts. `%(seconds)s` are those of the service level.
MEASURES = {
    Measure.RECEIVED: (
        N_("Calls received"),
        N_(
            "Calls to 111 in the hour in which they came, whatever became of them; of calls refused"
            " those with an appeal."
        ),
    ),
    Measure.OFFERED: (
        N_("Calls offered"),
        N_("Calls received that waited in the queue for a consultant."),
    ),
    Measure.ANSWERED: (
        N_("Calls answered"),
        N_("Calls offered in which the caller talked with a consultant."),
    ),
    Measure.IN_TIME: (
        N_("Answered within %(seconds)s seconds"),
        N_("Calls answered after at most %(seconds)s seconds in the queue."),
    ),
    Measure.ABANDONED: (
        N_("Calls abandoned"),
        N_(
            "Calls offered in which the caller hung up in the queue, however soon: a short wait"
            " counts too, since a caller in trouble may have to hang up at once."
        ),
    ),
    Measure.REDIRECTED: (
        N_("To 1414"),
        N_("Calls received that ended at 1414, from the menu, the queue or a consultant."),
    ),
    Measure.NOT_HONOURED: (
        N_("Language not honoured"),
        N_("Calls received in which the caller heard that nobody at work spoke the language."),
    ),
    Measure.OTHER_LANGUAGE: (
        N_("Talked in the other language"),
        N_("Of these, the caller agreed to the other language and talked in it."),
    ),
    Measure.REFUSED_WITH_APPEAL: (
        N_("Calls refused, with an appeal"),
        N_("Calls refused that have an appeal: one of a caller and 100 of all callers in an hour."),
    ),
    Measure.ATTEMPTS: (
        N_("Attempts"),
        N_("Calls received with a number. Those of withheld and of masked numbers are left out."),
    ),
    Measure.FIRST_CONTACTS: (
        N_("First contacts"),
        N_("Calls answered whose number had no answered call in the 7 days before."),
    ),
    Measure.HELPED: (
        N_("Helped at the first contact"),
        N_(
            "First contacts after which the number did not call again within 7 days."
            " The last 7 days may still change."
        ),
    ),
    Measure.AT_RISK: (
        N_("Calls at risk"),
        N_(
            "Calls received of people in danger or with thoughts of suicide, as their keys or the"
            " record say; without what was no request."
        ),
    ),
    Measure.FOLLOW_UP_OFFERED: (
        N_("Another call offered"),
        N_("Calls at risk after which another call in one to three days was offered."),
    ),
    Measure.FOLLOWED_UP: (
        N_("Talked with again"),
        N_("Calls at risk after which somebody was talked with again in such a call."),
    ),
}
#: Figures that are reckoned from others.
RECKONED = (
    (
        N_("Service level"),
        N_("Answered within %(seconds)s seconds, of all calls offered."),
    ),
    (
        N_("Wait in the queue"),
        N_(
            "From entering the queue to the answer, or to hanging up there. Half of the callers"
            " waited at most the median, 95 of 100 at most the 95th percentile."
        ),
    ),
    (
        N_("Calls refused"),
        N_(
            "Calls that the telephone exchange could not serve, mostly for want of a common codec:"
            " nobody was heard. All of them count, also those without an appeal."
        ),
    ),
    (N_("Unique callers"), N_("Different numbers among the attempts.")),
    (
        N_("Hours of consultants"),
        N_("How long each was in a state, as telephone and page said; at work is all of them."),
    ),
)
STATES = {
    "ready": N_("Free"),
    "ringing": N_("Being rung"),
    "talking": N_("Talking"),
    "wrap_up": N_("After a conversation"),
    "recovery": N_("Recovery after a hard call"),
    "paused": N_("On a pause"),
}

Row = tuple[str, CallFigures]


@dataclass(frozen=True)
class ReportLabels:
    """Words for one language; `seconds` are those of the service level."""

    words: Translator
    seconds: int

    def measure(self, measure: str) -> str:
        return self._say(MEASURES[Measure(measure)][0])

    def definition(self, measure: str) -> str:
        return self._say(MEASURES[Measure(measure)][1])

    def definitions(self) -> list[tuple[str, str]]:
        """Each figure with what it counts."""
        return [
            (self._say(name), self._say(what)) for name, what in (*MEASURES.values(), *RECKONED)
        ]

    def state(self, state: str) -> str:
        return self.words.plain(STATES[state])

    def states(self) -> Sequence[str]:
        return list(STATES)

    def day(self, day: date) -> str:
        return f"{self.words.weekday(day.weekday())}\N{NO-BREAK SPACE}{day:%d.%m}"

    def hour(self, hour: int) -> str:
        return f"{hour:02}:00"

    def period(self, period: Period) -> str:
        first, last = f"{period.first:%d.%m.%Y}", f"{period.last:%d.%m.%Y}"
        return first if first == last else f"{first} – {last}"

    def percent(self, part: int, whole: int) -> str:
        """A share, rounded down: all is all."""
        return f"{100 * part // whole}%" if whole else "–"

    def each(self, calls: int, callers: int) -> str:
        return f"{calls / callers:.1f}" if callers else "–"

    def time(self, lasted: timedelta | None) -> str:
        return "–" if lasted is None else length(lasted)

    def hours(self, lasted: timedelta) -> str:
        """Hours and minutes, as many as they are."""
        minutes = int(lasted.total_seconds()) // 60
        return f"{minutes // 60}:{minutes % 60:02}"

    def address(self, period: Period, measure: str = "", hour: int | None = None) -> str:
        """The query of the page of a period, or of the list behind a figure."""
        values = {"since": period.first, "until": period.last, "measure": measure, "hour": hour}
        return urlencode({name: value for name, value in values.items() if value not in ("", None)})

    def of_day(self, day: date) -> Period:
        return Period(day, day)

    def plots(self, rows: Sequence[Row]) -> list[Plot]:
        """Calls, service level and waiting of days or hours."""
        return [self._calls(rows), self._service_level(rows), self._waiting(rows)]

    def _calls(self, rows: Sequence[Row]) -> Plot:
        kinds = [
            ("answered", self.measure(Measure.ANSWERED)),
            ("otherwise", self.words.plain(N_("Other ways out"))),
            ("abandoned", self.measure(Measure.ABANDONED)),
        ]
        columns = [
            PlotColumn(
                label,
                f"{label}: " + ", ".join(f"{said} {getattr(each, kind)}" for kind, said in kinds),
                {kind: getattr(each, kind) for kind, _ in kinds},
            )
            for label, each in rows
        ]
        scale = make_scale(max((each.offered for _, each in rows), default=0), (1, 2, 5))
        name = self.measure(Measure.OFFERED)
        return draw(name, kinds, columns, scale, lambda value: f"{value:g}")

    def _service_level(self, rows: Sequence[Row]) -> Plot:
        name = self.words.plain(N_("Service level"))
        columns = [
            PlotColumn(
                label,
                f"{label}: {self.percent(each.in_time, each.offered)}",
                {"in_time": 100 * each.in_time / each.offered} if each.offered else {},
            )
            for label, each in rows
        ]
        kinds = [("in_time", self.measure(Measure.IN_TIME))]
        return draw(name, kinds, columns, (0, 25, 50, 75, 100), lambda value: f"{value:g}%")

    def _waiting(self, rows: Sequence[Row]) -> Plot:
        kinds = [
            ("wait", self.words.plain(N_("95th percentile"))),
            ("median", self.words.plain(N_("Median"))),
        ]
        columns = [
            PlotColumn(
                label,
                f"{label}: {self.time(each.wait_median)} · {self.time(each.wait_p95)}",
                {"wait": each.wait_p95.total_seconds()} if each.wait_p95 else {},
                each.wait_median.total_seconds() if each.wait_median is not None else None,
            )
            for label, each in rows
        ]
        highest = max((value for each in columns for value in each.values.values()), default=0)
        scale = make_scale(highest, (5, 10, 15, 30, 60, 120, 300))
        name = self.words.plain(N_("Wait in the queue"))
        return draw(name, kinds, columns, scale, lambda value: length(timedelta(seconds=value)))

    def _say(self, message: str) -> str:
        return self.words.plain(message) % {"seconds": self.seconds}
