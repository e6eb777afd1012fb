"""How records are said to people: the pages' words for kinds, stages, channels and fields."""

import re
from dataclasses import dataclass

from callcenter.errors import N_
from callcenter.register.attachments import State
from callcenter.register.fields import Field, Form, Option, Type, Value
from callcenter.register.masking import Ended, Keeps
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
#: What the register itself notes of a step within a stage, with the number of another appeal.
NOTED = {
    "split": N_("A part of it is an appeal of its own: %(number)s"),
    "joined": N_("Another appeal goes on in this one: %(number)s"),
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

    def answer(self, field: Field, value: Value) -> str:
        """An answer to a field as people read it."""
        if field.type is Type.YES:
            return self.words.plain(N_("yes"))
        named = {option.code: self.name(option) for option in field.options}
        answers = [value] if isinstance(value, str) else value
        return ", ".join(named.get(each, each) for each in answers)
