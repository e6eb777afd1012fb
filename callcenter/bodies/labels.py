"""Labels of the directory for pages: kinds, methods, states, faults, places and hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from callcenter.appeals.rules.fields import Form
from callcenter.bodies.rules.competence import Competence, Coverage, Place, Subject
from callcenter.bodies.rules.directory import (
    Body,
    BodyContact,
    BodyKind,
    ContactMethod,
    ContactState,
    DirectoryFault,
)
from callcenter.bodies.rules.directory_table import FileFault
from callcenter.bodies.rules.opening_hours import ALWAYS, DayTimes, OpeningRule, parse_hours
from callcenter.bodies.rules.working_hours import USUAL_WEEK
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator

BODY_KINDS = {
    BodyKind.CENTRAL: N_("Central state body"),
    BodyKind.LOCAL: N_("Local executive body"),
    BodyKind.DEPARTMENT: N_("Department of another body"),
    BodyKind.COMMISSIONER: N_("Commissioner for children's rights"),
    BodyKind.ORGANIZATION: N_("Organization"),
}
METHODS = {
    ContactMethod.TELEPHONE: N_("Telephone"),
    ContactMethod.DUTY: N_("Duty number"),
    ContactMethod.EMAIL: N_("E-mail"),
    ContactMethod.WORKPLACE: N_("The body's own page here"),
    ContactMethod.EOTINISH: N_("e-Otinish, by hand"),
    ContactMethod.LETTER: N_("Letter to"),
}
STATES = {
    ContactState.VERIFIED: N_("verified"),
    ContactState.UNVERIFIED: N_("nobody has verified it"),
    ContactState.STALE: N_("verified too long ago"),
    ContactState.FAILED: N_("does not work"),
}
FAULTS = {
    DirectoryFault.CODE: N_("A code has 2 to 40 small Latin letters, digits and underlines."),
    DirectoryFault.KIND: N_("This is no kind of a body."),
    DirectoryFault.PARENT: N_("The body above is none of the directory, or is below this one."),
    DirectoryFault.PLACE: N_("This is no region, or no district of the region."),
    DirectoryFault.DIRECTION: N_("This is no direction of the form."),
    DirectoryFault.TOPIC: N_("This is no topic of the form."),
    DirectoryFault.NAMES: N_("A name has a day, and texts in Kazakh, Russian and English."),
    DirectoryFault.DAY: N_("A day is written as 2026-11-24."),
    DirectoryFault.METHOD: N_("This is no way to reach a body."),
    DirectoryFault.VALUE: N_("A contact is a whole telephone number or address."),
    DirectoryFault.NO_REPLY: N_("Nobody reads a mailbox of this name."),
    DirectoryFault.LANGUAGES: N_(
        "The languages of a contact are Kazakh and Russian, by their codes."
    ),
    DirectoryFault.HOURS: N_("Hours are 24/7, or as Mo-Fr 09:00-13:00,14:30-18:30."),
    DirectoryFault.WORKING_HOURS: N_(
        "Working hours are 24/7, or as Mo-Fr 09:00-13:00,14:30-18:30, then days of its own; over"
        " midnight as Mo 20:00-24:00; Tu 00:00-08:00."
    ),
    DirectoryFault.TWICE: N_("It is there twice: a body by its code, or a contact."),
}
FILE_FAULTS = {
    FileFault.EMPTY: N_("There is no body below the first row."),
    FileFault.COLUMNS: N_("The first row has to name the columns, as below, each once."),
    FileFault.LONG: N_("One file has 5000 rows and 400 000 letters at most."),
    FileFault.FORMAT: N_("This is neither XLSX nor CSV in UTF-8."),
}
#: What a file may change of a body.
BODY_FIELDS = {
    "kind": N_("Kind"),
    "parent": N_("The body above it"),
    "region": N_("Region"),
    "district": N_("District"),
    "directions": N_("Directions"),
    "topics": N_("Topics"),
    "names": N_("Names"),
    "ended_on": N_("Does not exist from this day on"),
    "working_hours": N_("Working hours"),
    "contact": N_("Contacts"),
}
COVERAGE = {
    Coverage.COVERED: N_("has a verified contact"),
    Coverage.UNVERIFIED: N_("has contacts that are to be verified"),
    Coverage.FALLEN: N_("has no contact that works: it falls to another body"),
    Coverage.NO_CONTACT: N_("has no contact that works, nor has the body above"),
    Coverage.NOBODY: N_("no body is competent"),
}
#: How a cell of the table shows it.
SIGNS = {
    Coverage.COVERED: "✓",
    Coverage.UNVERIFIED: "?",
    Coverage.FALLEN: "↑",
    Coverage.NO_CONTACT: "✗",
    Coverage.NOBODY: "∅",
}
SUBJECTS = {Subject.TOPIC: N_("Topic"), Subject.DIRECTION: N_("Direction")}
REASONS = {
    Place.DISTRICT: N_("competent in the district"),
    Place.REGION: N_("competent in the region"),
    Place.COUNTRY: N_("competent in the whole country"),
}
SPOKEN = {"kk": N_("Kazakh"), "ru": N_("Russian")}


@dataclass(frozen=True)
class BodyLabels:
    """Labels of bodies in one language."""

    words: Translator
    form: Form
    today: date

    kinds: ClassVar[Mapping[BodyKind, str]] = BODY_KINDS
    methods: ClassVar[Mapping[ContactMethod, str]] = METHODS
    states: ClassVar[Mapping[ContactState, str]] = STATES
    coverage: ClassVar[Mapping[Coverage, str]] = COVERAGE
    signs: ClassVar[Mapping[Coverage, str]] = SIGNS
    reasons: ClassVar[Mapping[Place, str]] = REASONS

    def name(self, body: Body) -> str:
        """The name of a body today."""
        return body.name_on(self.today).in_language(self.words.language)

    def option(self, field: str, code: str) -> str:
        """An answer of the form: a region, district, direction or topic."""
        option = self.form.option(field, code)
        if option is None:
            return code
        return {"kk": option.kk, "ru": option.ru}.get(self.words.language, option.en)

    def subject(self, competence: Competence) -> str:
        """The topic or direction that is asked for, and the wider one that decided, if any."""
        matter = competence.matter
        name = self.option(matter.subject.value, matter.code)
        if competence.code not in ("", matter.code):
            name = f"{name} → {self.option(matter.subject.value, competence.code)}"
        return f"{self.words.plain(SUBJECTS[matter.subject])}: {name}"

    def place(self, body: Body) -> str:
        """The place where a body is competent."""
        if not body.region:
            return self.words.plain(N_("The whole country"))
        places = [self.option("region", body.region)]
        return ", ".join(
            places + ([self.option("district", body.district)] if body.district else [])
        )

    def languages(self, contact: BodyContact) -> str:
        """The languages in which a contact answers."""
        return ", ".join(self.words.plain(SPOKEN[each]) for each in contact.languages)

    def hours(self, contact: BodyContact) -> str:
        """Opening hours in words; empty when nobody has entered them."""
        return self._week(parse_hours(contact.hours))

    def working_hours(self, body: Body) -> str:
        """The hours in which a body works, in words: as most do when nobody has entered them."""
        hours = body.hours
        off = self.words.plain(N_("closed"))
        days = (
            f"{day:%d.%m.%Y}: {_times(times) or off}"
            for day, times in hours.own_days.items()
            if day >= self.today
        )
        return "; ".join((self._week(hours.week or USUAL_WEEK), *days))

    def _week(self, week: Sequence[OpeningRule]) -> str:
        """The hours of a week in words; empty when there are none."""
        if week == parse_hours(ALWAYS):
            return self.words.plain(N_("around the clock"))
        day = self.words.weekday
        return "; ".join(
            "{} {}".format(
                ", ".join(
                    day(first) if first == last else f"{day(first)}–{day(last)}"
                    for first, last in rule.spans
                ),
                _times(rule.times),
            )
            for rule in week
        )

    def spoken_text(self, body: Body, contact: BodyContact | None) -> str:
        """Text to read out to a caller: the body and, where there is one, its contact."""
        if contact is None:
            return self.name(body)
        hours = self.hours(contact)
        return f"{self.name(body)}: {contact.value}{f' ({hours})' if hours else ''}"


def _times(times: DayTimes) -> str:
    """The times of a day in words; empty when it has none."""
    return ", ".join(f"{begin}–{end}" for begin, end in times)
