"""The complete form of a demand: what a letter says, checked and ready to be registered."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from callcenter.demands.rules.authorities import authority_on
from callcenter.demands.rules.deadlines import DeadlineTerm, due_at, warn_at
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.store import DemandLetter, Scan
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import Calendar

LONGEST_TEXT = 1000
LARGEST_SCAN = 10 * 1024 * 1024  # bytes
OLDEST = timedelta(days=366)  #: since the arrival of a letter that is registered now
#: How each kind of scan begins.
SCANS = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}


@dataclass(frozen=True)
class LetterFields:
    """The fields of a letter as typed; `sender` is empty for the authorised body of R17."""

    sender: str
    letter_number: str
    letter_date: date
    ground: str
    signatory: str
    came_by: str
    hand_over_by: str
    received_at: datetime
    term: DeadlineTerm


@dataclass(frozen=True)
class DemandForm:
    """A complete demand: its letter with the deadline, the search criteria and the scan."""

    letter: DemandLetter
    criteria: SearchCriteria
    scan: Scan


def read_letter(fields: LetterFields, now: datetime, calendar: Calendar) -> DemandLetter:
    """The letter with its deadline.

    Raises InvalidRequest that says what is wrong, YearNotEntered.
    """
    received = fields.received_at
    if not now - OLDEST < received <= now + timedelta(minutes=1):
        raise InvalidRequest("the letter must have arrived by now, and within the last year")
    if fields.letter_date > received.astimezone(ZONE).date():
        raise InvalidRequest("the letter is dated after it arrived")
    body = authority_on(fields.letter_date)
    other = read_text(fields.sender) if fields.sender.strip() else None
    due = due_at(fields.term, received, calendar)
    return DemandLetter(
        sender_kk=other or body.kk,
        sender_ru=other or body.ru,
        from_authority=other is None,
        letter_number=read_text(fields.letter_number),
        letter_date=fields.letter_date,
        ground=read_text(fields.ground),
        signatory=read_text(fields.signatory),
        came_by=fields.came_by,
        hand_over_by=fields.hand_over_by,
        received_at=received,
        unit=fields.term.unit.value,
        count=fields.term.count,
        due_at=due,
        warn_at=warn_at(received, due, calendar),
    )


def read_scan(content: bytes) -> Scan:
    """The scan of a letter, by its first bytes. Raises InvalidRequest."""
    if len(content) > LARGEST_SCAN:
        raise InvalidRequest(
            f"the scan has more than {LARGEST_SCAN // 1024**2} MB: scan it smaller"
        )
    for begin, media_type in SCANS.items():
        if content.startswith(begin):
            return Scan(media_type, content)
    raise InvalidRequest("the scan of the letter must be a file of kind PDF, PNG or JPEG")


def read_text(written: str) -> str:
    """A required text, on one line. Raises InvalidRequest."""
    text = " ".join(written.split())
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        raise InvalidRequest(f"a text is missing, or has more than {LONGEST_TEXT} characters")
    return text
