"""Reading the form of a demand. Moments are typed in the time of Asia/Almaty."""

from datetime import UTC, date, datetime

from starlette.datastructures import FormData, UploadFile

from callcenter.demands.deeds import LARGEST_SCAN, Filing
from callcenter.demands.matching import read_wanted
from callcenter.demands.terms import Term, Unit
from callcenter.demands.wording import CAME_BY, HAND_OVER_BY
from callcenter.errors import AskedWrongly
from callcenter.workdays.calendar import ZONE

#: A form with a scan in it, in bytes.
LARGEST = LARGEST_SCAN + 1024 * 1024


async def read_filing(form: FormData, *, by_authority: bool) -> Filing:
    """The demand that a form says; that of the authority itself arrives now, by the pages.

    Raises AskedWrongly.
    """
    scan = form.get("scan")
    received = None if by_authority else _moment(form, "received_at")
    came_by = "pages" if by_authority else _one_of(form, "came_by", CAME_BY)
    return Filing(
        sender="" if by_authority else _text(form, "sender"),
        letter_number=_text(form, "letter_number"),
        letter_date=_day(form, "letter_date"),
        ground=_text(form, "ground"),
        signatory=_text(form, "signatory"),
        came_by=came_by,
        hand_over_by=_one_of(form, "hand_over_by", HAND_OVER_BY),
        received_at=received or datetime.now(UTC),
        term=_term(form),
        wanted=read_wanted(
            _text(form, "appeal_number"),
            _text(form, "caller_number"),
            _text(form, "extension").strip(),
            _moment(form, "since"),
            _moment(form, "until"),
        ),
        scan=await scan.read() if isinstance(scan, UploadFile) else b"",
    )


def _term(form: FormData) -> Term:
    unit = Unit(_one_of(form, "unit", {each.value: "" for each in Unit}))
    if unit is Unit.MOMENT:
        return Term(unit, moment=_moment(form, "moment"))
    try:
        return Term(unit, int(_text(form, "count")))
    except ValueError as exc:
        raise AskedWrongly("the time that the letter sets is a number") from exc


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _one_of(form: FormData, name: str, known: dict[str, str]) -> str:
    value = _text(form, name)
    if value not in known:
        raise AskedWrongly(f"{name} must be chosen")
    return value


def _day(form: FormData, name: str) -> date:
    try:
        return date.fromisoformat(_text(form, name))
    except ValueError as exc:
        raise AskedWrongly(f"{name} must be a date") from exc


def _moment(form: FormData, name: str) -> datetime | None:
    text = _text(form, name)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE) if text else None
    except ValueError as exc:
        raise AskedWrongly(f"{name} must be a date and a time") from exc
