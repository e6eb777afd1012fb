"""Labels of records for pages: kinds, stages, channels, fields and letters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from callcenter.appeals.calls.labels import OUTCOMES
from callcenter.appeals.followup.attachments_store import ScanState
from callcenter.appeals.form.presets_store import Preset
from callcenter.appeals.rules import letters
from callcenter.appeals.rules.fields import Field, FieldType, Form, Option, Value
from callcenter.appeals.rules.follow_up_calls import FollowUpResult
from callcenter.appeals.rules.letters import Direction, Letter, LetterParty
from callcenter.appeals.rules.masking import RuleScope
from callcenter.appeals.rules.states import NO_BODY_HAS_IT, AppealKind, AppealState, Disposition
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator

KINDS = {
    AppealKind.CONSULTATION: N_("Consultation"),
    AppealKind.STATEMENT: N_("Statement"),
    AppealKind.COMPLAINT: N_("Complaint"),
    AppealKind.DANGER: N_("Report of danger"),
    AppealKind.STATUS: N_("Question about an earlier appeal"),
    AppealKind.NO_REQUEST: N_("No request"),
}
STAGES = {
    AppealState.CONTACT: N_("Contact"),
    AppealState.REGISTERED: N_("Registered"),
    AppealState.IN_WORK: N_("In work"),
    AppealState.FORWARDED: N_("With a state body"),
    AppealState.ANSWERED: N_("Answered"),
    AppealState.CLOSED: N_("Closed"),
    AppealState.NO_REQUEST: N_("Closed, there was no request"),
    AppealState.JOINED: N_("Joined to another appeal"),
}
#: Which contact it was that had no request.
DISPOSITIONS = {
    Disposition.SILENT: N_("Nobody was heard"),
    Disposition.HUNG_UP: N_("The caller hung up"),
    Disposition.WRONG_NUMBER: N_("Wrong number, advertising"),
    Disposition.PRANK: N_("Prank"),
    Disposition.ABUSIVE: N_("Insults, threats"),
    Disposition.INFORMATION: N_("Information given"),
    Disposition.OFFICE: N_("Business of the center"),
    Disposition.TEST: N_("Test"),
}
#: What a button says that takes an appeal there.
STEPS = {
    AppealState.CONTACT: N_("Open again"),
    AppealState.REGISTERED: N_("Register"),
    AppealState.IN_WORK: N_("Take into work"),
    AppealState.FORWARDED: N_("Note that a state body has it"),
    AppealState.ANSWERED: N_("The answer is ready"),
    AppealState.CLOSED: N_("Close"),
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
#: What came of a follow-up call.
FOLLOW_UP_RESULTS = {
    FollowUpResult.REACHED: N_("Talked with them"),
    FollowUpResult.NOT_REACHED: N_("Not reached"),
    FollowUpResult.DECLINED: N_("Not wanted"),
}
#: Why a file cannot be opened; what is kept can be.
FILES = {
    ScanState.ARRIVING: N_("on its way into the store"),
    ScanState.WAITING: N_("is being checked for viruses"),
    ScanState.QUARANTINED: N_("set aside, nobody can open it:"),
    ScanState.FAILED: N_("did not come whole: attach it again"),
    ScanState.ERASED: N_("erased"),
}
#: What a rule of masking is about.
ENDED_KINDS = {
    **{
        RuleScope(kind.value): KINDS[kind]
        for kind in AppealKind
        if kind is not AppealKind.NO_REQUEST
    },
    RuleScope.UNWRITTEN: N_("Contacts of which nothing was written"),
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
    "answer_due_on": N_("Answer due by"),
    "answers": N_("It answers"),
    "scan": N_("Scan"),
}
#: What may be chosen for these.
LETTER_WORDS: Mapping[str, Mapping[str, str]] = {
    "direction": {Direction.IN: N_("Incoming"), Direction.OUT: N_("Outgoing")},
    "kind": {letters.LetterKind.LETTER: N_("Letter"), letters.LetterKind.REQUEST: N_("Request")},
    "party": {
        LetterParty.APPLICANT: N_("Applicant"),
        LetterParty.STATE_BODY: N_("State body"),
        LetterParty.AUTHORITY: N_("Authority"),
        LetterParty.OTHER: N_("Somebody else"),
    },
}
_GIVEN = re.compile(r"given to ([a-z0-9._-]{2,40}): (.*)", re.DOTALL)
_NOTED = re.compile(r"(split|joined): ([0-9]{10,11})")
PEOPLE = {
    "applicant": N_("Applicant"),
    "representative": N_("Representative"),
    "reporter": N_("Who reports"),
    "affected": N_("Who suffered"),
    "accused": N_("Who is complained of"),
}


@dataclass(frozen=True)
class RecordLabels:
    """Labels of a record and its form, in one language."""

    words: Translator
    form: Form

    call_outcomes: ClassVar[Mapping[str, str]] = OUTCOMES
    follow_up_results: ClassVar[Mapping[FollowUpResult, str]] = FOLLOW_UP_RESULTS
    letter_fields: ClassVar[Mapping[str, str]] = LETTER_FIELDS
    letter_words: ClassVar[Mapping[str, Mapping[str, str]]] = LETTER_WORDS

    def name(self, named: Field | Option | Preset) -> str:
        """A name that the center gave, in the language of the page."""
        return {"kk": named.kk, "ru": named.ru}.get(self.words.language, named.en)

    def channel(self, code: str) -> str:
        """The label of the way by which an appeal came."""
        return self.words.plain(CHANNELS.get(code, code))

    def person(self, key: str) -> str:
        """The label of a person by key, such as `affected2`."""
        part = key.rstrip("123456789")
        number = key.removeprefix(part)
        name = self.words.plain(PEOPLE[part])
        return f"{name} {number}" if number else name

    def key(self, key: str) -> str:
        """The label of a key of a record's content."""
        if key == "kind":
            return self.words.plain(N_("Kind"))
        field = self.form.field(key)
        name = key if field is None else self.name(field)
        person, dot, _ = key.partition(".")
        return f"{self.person(person)}: {name}" if dot else name

    def noted(self, reason: str) -> str:
        """The reason of a move or a step within a stage: in a person's words, or in ours."""
        if reason == NO_BODY_HAS_IT:
            return self.words.plain(N_("no state body has a request of it any more"))
        if given := _GIVEN.fullmatch(reason):
            return self.words(N_("Given to %(name)s: %(reason)s"), name=given[1], reason=given[2])
        ours = _NOTED.fullmatch(reason)
        return self.words(NOTED[ours[1]], number=ours[2]) if ours else reason

    def value(self, key: str, value: Value | None) -> str:
        """The displayed value of a key of a record's content."""
        if value is None:
            return "–"
        if key == "kind":
            return self.words.plain(KINDS[AppealKind(str(value))])
        field = self.form.field(key)
        if field is not None:
            return self.answer(field, value)
        return value if isinstance(value, str) else ", ".join(value)

    def letter_value(self, name: str, value: Value | None, named: Mapping[str, str]) -> str:
        """The displayed value of a letter's field; `named` are letters and files by id."""
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
        """The displayed value of a field."""
        if field.type is FieldType.YES:
            return self.words.plain(N_("yes"))
        answers = [value] if isinstance(value, str) else value
        named = {each.code: self.name(each) for each in field.options if each.code in answers}
        return ", ".join(named.get(each, each) for each in answers)
