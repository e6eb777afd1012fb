"""Labels of the working calendar: kinds of days, and what is wrong with a line."""

from callcenter.platform.core.errors import N_
from callcenter.platform.core.working_calendar import DayKind
from callcenter.working_calendar.rules import LineFault

KINDS = {
    DayKind.HOLIDAY: N_("Holiday"),
    DayKind.OBSERVED: N_("Day off for a holiday at a weekend"),
    DayKind.SWAP: N_("Moved day off"),
    DayKind.ESTIMATED: N_("Expected holiday, not announced yet"),
}
FAULTS = {
    LineFault.PARTS: N_("write the date, the kind and the names in Kazakh and Russian"),
    LineFault.DATE: N_("this is no date of the year"),
    LineFault.KIND: N_("this kind does not exist"),
    LineFault.TWICE: N_("this day is there already"),
    LineFault.WEEKDAY: N_("only a Saturday or Sunday can be worked instead"),
}
