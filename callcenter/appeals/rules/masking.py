"""Rules of masking: what is erased of an appeal when its personal data are not needed.

What stays is what statistics are made of: number, days, kind, stage, who answered for it, and of
the form the answers that were chosen, counted or ticked, in fields that everybody sees. The audit
log stays whole.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from callcenter.appeals.rules.fields import AccessRule, Content, FieldType, Form, Value
from callcenter.platform.core.errors import InvalidRequest

LEAST_DAYS = 30  # of a rule: what ended today may be complained of tomorrow
MOST_DAYS = 36_500

_COUNTED = frozenset({FieldType.CHOICE, FieldType.CHOICES, FieldType.NUMBER, FieldType.YES})


class RuleScope(StrEnum):
    """Appeals that a rule is about, by their kind."""

    CONSULTATION = "consultation"
    STATEMENT = "statement"
    COMPLAINT = "complaint"
    DANGER = "danger"
    STATUS = "status"
    UNWRITTEN = "unwritten"  #: of which nobody has written a record, or said what they are


class RetentionRequired(InvalidRequest):
    """The personal data of this appeal are retained for now; `why` has the keys of reasons."""

    def __init__(self, why: list[str]) -> None:
        super().__init__(f"the personal data must stay for now: {', '.join(why)}")
        self.why = why


def remaining(form: Form, content: Content) -> dict[str, Value]:
    """Return what stays of a record's content: the values that identify nobody."""
    return {key: value for key, value in content.items() if is_counted(form, key, content, value)}


def is_counted(form: Form, key: str, content: Content, *values: Value | None) -> bool:
    """Whether the values are only counted; typed text where one chooses is not."""
    field = form.field(key)
    if (
        field is None
        or field.type not in _COUNTED
        or form.guard(key, content) is not AccessRule.OPEN
    ):
        return False
    return field.type is not FieldType.CHOICE or all(
        form.option(key, value) is not None for value in values if value is not None
    )


def remaining_change(
    form: Form, differences: Mapping[str, Sequence[Value | None]]
) -> dict[str, Sequence[Value | None]]:
    """Return what stays of a change of a record: by its key, before and after."""
    return {
        key: pair
        for key, pair in differences.items()
        if key == "kind" or is_counted(form, key, {}, *pair)
    }
