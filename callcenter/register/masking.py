"""What is erased of an appeal when its personal data are not needed any more, and what keeps them.

What stays is what statistics are made of: number, days, kind, stage, who answered for it, and of
the form the answers that were chosen, counted or ticked, in fields that everybody sees. The audit
log stays whole.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from callcenter.errors import AskedWrongly
from callcenter.register.fields import Content, Form, Guard, Type, Value

LEAST_DAYS = 30  # of a rule: what ended today may be complained of tomorrow
MOST_DAYS = 36_500
LONGEST_REASON = 1000

_COUNTED = frozenset({Type.CHOICE, Type.CHOICES, Type.NUMBER, Type.YES})


class Ended(StrEnum):
    """Which appeals a rule is about; by what they turned out to be."""

    CONSULTATION = "consultation"
    STATEMENT = "statement"
    COMPLAINT = "complaint"
    DANGER = "danger"
    STATUS = "status"
    UNWRITTEN = "unwritten"  #: of which nobody has written a record, or said what they are


class Keeps(StrEnum):
    """Why personal data stay although somebody asks, or the time is over."""

    GOES_ON = "goes_on"  #: the appeal, or the one that it goes on in, is not ended
    OWED = "owed"  #: the caller is to be called back, or left a message that nobody heard
    HELD = "held"  #: a recording of it is held, for a demand or a court
    DEMANDED = "demanded"  #: a written demand about it, or about its caller, is not carried out


class Goes(StrEnum):
    """What is erased of an appeal beside the content of its record."""

    CALLER = "caller"  #: from which number it came
    CALLED = "called"  #: numbers that were called about it
    PROMISED = "promised"  #: numbers that were promised a call, and are not to be called any more
    DRAFTS = "drafts"
    FILES = "files"
    LETTERS = "letters"  #: with whom, and what about
    LETTER_CHANGES = "letter_changes"  #: the same in their history
    REMINDERS = "reminders"
    IDENTIFIERS = "identifiers"  #: keyed hashes of ИИН and БИН
    REASONS = "reasons"  #: of steps
    CODES = "codes"  #: of receipts
    CHANGES = "changes"  #: in the history of the content; counted of one appeal alone


class IsKept(AskedWrongly):
    """The personal data of this appeal must stay for now; `why` says for what."""

    def __init__(self, why: list[Keeps]) -> None:
        super().__init__(f"the personal data must stay for now: {', '.join(why)}")
        self.why = why


class SamePerson(AskedWrongly):
    """Who asked for it may not decide on it: another person must."""


def remaining(form: Form, content: Content) -> dict[str, Value]:
    """What stays of a record's content: it tells of nobody."""
    return {key: value for key, value in content.items() if is_counted(form, key, content, value)}


def is_counted(form: Form, key: str, content: Content, *values: Value | None) -> bool:
    """Whether what is entered here is only counted; what was typed where one chooses is not."""
    field = form.field(key)
    if field is None or field.type not in _COUNTED or form.guard(key, content) is not Guard.OPEN:
        return False
    return field.type is not Type.CHOICE or all(
        form.option(key, value) is not None for value in values if value is not None
    )


def remaining_change(
    form: Form, differences: Mapping[str, Sequence[Value | None]]
) -> dict[str, Sequence[Value | None]]:
    """What stays of a change in the history of a record: by its key, before and after."""
    return {
        key: pair
        for key, pair in differences.items()
        if key == "kind" or is_counted(form, key, {}, *pair)
    }


def check_reason(reason: str) -> str:
    """The reason as it is kept. Raises AskedWrongly: there is none, or it is too long."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise AskedWrongly(f"give a reason, of up to {LONGEST_REASON} characters")
    return reason
