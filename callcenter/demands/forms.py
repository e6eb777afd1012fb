"""Reads the submitted form of a demand. Moments are typed in the time of Asia/Almaty."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from callcenter.demands.demand_form import (
    LARGEST_SCAN,
    DemandForm,
    LetterFields,
    read_letter,
    read_scan,
)
from callcenter.demands.labels import CAME_BY, HAND_OVER_BY
from callcenter.demands.rules.deadlines import DeadlineTerm, DemandTimeUnit
from callcenter.demands.rules.matching import read_criteria
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import Calendar

#: The submitted fields by name.
Fields = Mapping[str, object]

#: A form with a scan in it, in bytes.
LARGEST = LARGEST_SCAN + 1024 * 1024


def read_form(form: Fields, scan: bytes, calendar: Calendar, *, by_authority: bool) -> DemandForm:
    """The complete demand of a form; that of the authority itself arrives now, by the pages.

    Raises InvalidRequest that says what is wrong, YearNotEntered.
    """
    now = datetime.now(UTC)
    received = None if by_authority else _moment(form, "received_at")
    fields = LetterFields(
        sender="" if by_authority else _text(form, "sender"),
        letter_number=_text(form, "letter_number"),
        letter_date=_day(form, "letter_date"),
        ground=_text(form, "ground"),
        signatory=_text(form, "signatory"),
        came_by="pages" if by_authority else _one_of(form, "came_by", CAME_BY),
        hand_over_by=_one_of(form, "hand_over_by", HAND_OVER_BY),
        received_at=received or now,
        term=_term(form),
    )
    criteria = read_criteria(
        _text(form, "appeal_number"),
        _text(form, "caller_number"),
        _text(form, "extension").strip(),
        _moment(form, "since"),
        _moment(form, "until"),
    )
    return DemandForm(read_letter(fields, now, calendar), criteria, read_scan(scan))


def _term(form: Fields) -> DeadlineTerm:
    unit = DemandTimeUnit(_one_of(form, "unit", {each.value: "" for each in DemandTimeUnit}))
    if unit is DemandTimeUnit.MOMENT:
        return DeadlineTerm(unit, moment=_moment(form, "moment"))
    try:
        return DeadlineTerm(unit, int(_text(form, "count")))
    except ValueError as exc:
        raise InvalidRequest("the time that the letter sets is a number") from exc


def _text(form: Fields, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _one_of(form: Fields, name: str, choices: dict[str, str]) -> str:
    value = _text(form, name)
    if value not in choices:
        raise InvalidRequest(f"{name} must be chosen")
    return value


def _day(form: Fields, name: str) -> date:
    try:
        return date.fromisoformat(_text(form, name))
    except ValueError as exc:
        raise InvalidRequest(f"{name} must be a date") from exc


def _moment(form: Fields, name: str) -> datetime | None:
    text = _text(form, name)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE) if text else None
    except ValueError as exc:
        raise InvalidRequest(f"{name} must be a date and a time") from exc
