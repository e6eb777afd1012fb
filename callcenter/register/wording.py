"""How records are said to people: the pages' words for kinds, stages, channels and fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from callcenter.errors import N_
from callcenter.register import letters
from callcenter.register.attachments import State
from callcenter.register.fields import Field, Form, Option, Type, Value
from callcenter.register.letters import Direction, Letter, Party
from callcenter.register.masking import Ended, Goes, Keeps
from callcenter.register.stages import Kind, Stage
from callcenter.web.words import Words

KINDS = {
    Kind.CONSULTATION: N_("Consultation"),
    Kind.STATEMENT: N_("Statement"),
    Kind.COMPLAINT: N_("Complaint"),
    Kind.DANGER: N_("Report of danger"),
    Kind.STATUS: N_("Question about an earlier appeal"),
    Kind.NO_REQUEST: N_("No request"),
}
STAGES = {
    Stage.CONTACT: N_("Contact"),
    Stage.REGISTERED: N_("Registered"),
    Stage.IN_WORK: N_("In work"),
    Stage.FORWARDED: N_("With a state body"),
    Stage.ANSWERED: N_("Answered"),
    Stage.CLOSED: N_("Closed"),
    Stage.NO_REQUEST: N_("Closed, there was no request"),
    Stage.JOINED: N_("Joined to another appeal"),
}
#: What a button says that takes an appeal there.
STEPS = {
    Stage.CONTACT: N_("Open again"),
    Stage.REGISTERED: N_("Register"),
    Stage.IN_WORK: N_("Take into work"),
    Stage.FORWARDED: N_("Note that a state body has it"),
    Stage.ANSWERED: N_("The answer is ready"),
    Stage.CLOSED: N_("Close"),
}
CHANNELS = {
    "call": N_("Call"),
    "outgoing": N_("Call of ours"),
    "portal": N_("Portal"),
    "email": N_("E-mail"),
    "paper": N_("On paper"),
    "walk_in": N_("In person"),
    "video": N_("Video conference"),
    "messenger": N_("Messenger"),
}
#: Why a file cannot be opened; what is kept can be.
FILES = {
    State.ARRIVING: N_("on its way into the store"),
    State.WAITING: N_("is being checked for viruses"),
    State.ASIDE: N_("set aside, nobody can open it:"),
    State.FAILED: N_("did not come whole: attach it again"),
    State.ERASED: N_("erased"),
}
#: What a rule of masking is about.
ENDED_KINDS = {
    **{Ended(kind.value): KINDS[kind] for kind in Kind if kind is not Kind.NO_REQUEST},
    Ended.UNWRITTEN: N_("Contacts of which nothing was written"),
}
#: Why personal data must stay for now.
KEEPS = {
    Keeps.GOES_ON: N_("They stay: the appeal goes on."),
    Keeps.OWED: N_("They stay: the caller is to be called back."),
    Keeps.HELD: N_("They stay: a recording of it is held."),
    Keeps.DEMANDED: N_("They stay: a written demand is not carried out."),
}
#: How much is erased beside the content of records.
GOES = {
    Goes.CALLER: N_("Numbers of callers: %(count)s"),
    Goes.CALLED: N_("Numbers that we called: %(count)s"),
    Goes.PROMISED: N_("Numbers that were promised a call: %(count)s"),
    Goes.DRAFTS: N_("Drafts: %(count)s"),
    Goes.FILES: N_("Files: %(count)s"),
    Goes.LETTERS: N_("Letters and requests: %(count)s"),
    Goes.LETTER_CHANGES: N_("Changes of letters: %(count)s"),
    Goes.REMINDERS: N_("Reminders: %(count)s"),
    Goes.IDENTIFIERS: N_("IIN and BIN to be found by: %(count)s"),
    Goes.REASONS: N_("Reasons of steps: %(count)s"),
    Goes.CODES: N_("Codes of receipts: %(count)s"),
    Goes.CHANGES: N_("Changes in the history: %(count)s"),
}
#: What the register itself notes of a step within a stage, with the number of another appeal.
NOTED = {
    "split": N_("A part of it is an appeal of its own: %(number)s"),
    "joined": N_("Another appeal goes on in this one: %(number)s"),
}
#: What is asked of a letter, in the order of its form.
LETTER_FIELDS = {
    "direction": N_("Which way"),
    "kind": N_("What it is"),
    "party": N_("With whom"),
    "whom": N_("Body or person"),
    "number": N_("Number on it"),
    "dated": N_("Day on it"),
    "about": N_("What it is about"),
    "answer_due_on": N_("An answer is wanted until"),
    "answers": N_("It answers"),
    "scan": N_("Scan"),
}
#: What may be chosen for these.
LETTER_WORDS: Mapping[str, Mapping[str, str]] = {
    "direction": {Direction.IN: N_("Incoming"), Direction.OUT: N_("Outgoing")},
    "kind": {letters.Kind.LETTER: N_("Letter"), letters.Kind.REQUEST: N_("Request")},
    "party": {
        Party.APPLICANT: N_("Applicant"),
        Party.STATE_BODY: N_("State body"),
        Party.AUTHORITY: N_("Authority"),
        Party.OTHER: N_("Somebody else"),
    },
}
_NOTED = re.compile(r"(split|joined): ([0-9]{10})")
PEOPLE = {
    "applicant": N_("Applicant"),
    "representative": N_("Representative"),
    "reporter": N_("Who reports"),
    "affected": N_("Who suffered"),
    "accused": N_("Who is complained of"),
}


@dataclass(frozen=True)
class Telling:
    """Says a record in one language."""

    words: Words
    form: Form

    def name(self, named: Field | Option) -> str:
        """A name that the center gave, in the language of the page."""
        return {"kk": named.kk, "ru": named.ru}.get(self.words.language, named.en)

    def person(self, key: str) -> str:
        """Who is meant by `affected2`."""
        part = key.rstrip("123456789")
        number = key.removeprefix(part)
        name = self.words.plain(PEOPLE[part])
        return f"{name} {number}" if number else name

    def key(self, key: str) -> str:
        """What is asked by a key of a record's content."""
        if key == "kind":
            return self.words.plain(N_("Kind"))
        field = self.form.field(key)
        name = key if field is None else self.name(field)
        person, dot, _ = key.partition(".")
        return f"{self.person(person)}: {name}" if dot else name

    def noted(self, reason: str) -> str:
        """The reason of a step within a stage: a person's own words, or ours."""
        ours = _NOTED.fullmatch(reason)
        return self.words(NOTED[ours[1]], number=ours[2]) if ours else reason

    def value(self, key: str, value: Value | None) -> str:
        """An answer as people read it."""
        if value is None:
            return "–"
        if key == "kind":
            return self.words.plain(KINDS[Kind(str(value))])
        field = self.form.field(key)
        if field is not None:
            return self.answer(field, value)
        return value if isinstance(value, str) else ", ".join(value)

    def letter_value(self, name: str, value: Value | None, named: Mapping[str, str]) -> str:
        """What a field of a letter says; `named` are letters and files, by their ids."""
        if value is None:
            return "–"
        said = str(value)
        if name in LETTER_WORDS:
            return self.words.plain(LETTER_WORDS[name][said])
        if name in ("dated", "answer_due_on"):
            return f"{date.fromisoformat(said):%d.%m.%Y}"
        return named.get(said, "–") if name in ("answers", "scan") else said

    def letter(self, letter: Letter) -> str:
        """A letter in one line."""
        plain, words = self.words.plain, LETTER_WORDS
        what = plain(words["kind"][letter.kind]), plain(words["direction"][letter.direction])
        whom = plain(words["party"][letter.party])
        of = f"№ {letter.number}", f"{letter.dated:%d.%m.%Y}"
        said = f"{', '.join((*what, *of))}, {whom}"
        more = [each for each in (letter.whom, letter.about) if each]
        return f"{said}: {', '.join(more)}" if more else said

    def answer(self, field: Field, value: Value) -> str:
        """An answer to a field as people read it."""
        if field.type is Type.YES:
            return self.words.plain(N_("yes"))
        named = {option.code: self.name(option) for option in field.options}
        answers = [value] if isinstance(value, str) else value
        return ", ".join(named.get(each, each) for each in answers)
