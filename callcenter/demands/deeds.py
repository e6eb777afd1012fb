"""What people do with demands: each deed is one transaction with its step and its audit entry."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.demands import store
from callcenter.demands.authorities import authority_on
from callcenter.demands.matching import Wanted
from callcenter.demands.states import Ground, Step
from callcenter.demands.store import DemandRow, Letter, Scan
from callcenter.demands.terms import Term, due_at, warn_at
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit
from callcenter.workdays.calendar import ZONE, state_calendar

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
class Filing:
    """A demand as a form says it; `sender` is empty for the authorised body of R17."""

    sender: str
    letter_number: str
    letter_date: date
    ground: str
    signatory: str
    came_by: str
    hand_over_by: str
    received_at: datetime
    term: Term
    wanted: Wanted
    scan: bytes


async def register(engine: AsyncEngine, visit: Visit, filing: Filing) -> DemandRow:
    """Enter a demand with its letter.

    Raises AskedWrongly that says what is wrong with it, YearNotEntered.
    """
    letter, scan = read_letter(filing, datetime.now(UTC)), read_scan(filing.scan)
    async with unit_of_work(engine) as connection:
        row = await store.register(
            connection, letter=letter, wanted=filing.wanted, scan=scan, author=visit.who
        )
        detail = {
            "letter": f"{row.letter_number}, {row.letter_date}",
            "came_by": row.came_by,
            "due_at": row.due_at.isoformat(timespec="seconds"),
        }
        await note(connection, visit, Step.REGISTERED, row, row.ground, **detail)
    return row


async def return_to_check(
    engine: AsyncEngine, visit: Visit, number: str, version: int, reason: str
) -> None:
    """Send a checked demand back. Raises NotFound, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        await take(connection, visit, Step.RETURNED, number, version, reason)


async def refuse(
    engine: AsyncEngine, visit: Visit, number: str, version: int, ground: Ground, reason: str
) -> None:
    """Hand over nothing. Raises NotFound, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        await take(connection, visit, Step.REFUSED, number, version, reason, ground=ground)


async def withdraw(
    engine: AsyncEngine, visit: Visit, number: str, version: int, reason: str
) -> None:
    """Note that it is not wanted any more. Raises NotFound, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        await take(connection, visit, Step.WITHDRAWN, number, version, reason)


async def take(
    connection: AsyncConnection,
    visit: Visit,
    step: Step,
    number: str,
    version: int | None,
    reason: str,
    *,
    ground: Ground | None = None,
    **detail: str,
) -> DemandRow:
    """Make a step as the last thing of a transaction, with its audit entry.

    Raises NotFound; IllegalMove, SamePerson, NotAuthorised; SomebodyElse when the demand is not as
    the person saw it (`version`); AskedWrongly without a reason.
    """
    why = read_text(reason)
    row = await store.lock(connection, number, version)
    if row is None:
        raise NotFound("there is no demand with this number")
    refusal = ground.value if ground else None
    moved = await store.take_step(
        connection, row, step, author=visit.who, reason=why, refusal=refusal
    )
    if ground:
        detail["ground"] = ground.value
    await note(connection, visit, step, moved, why, **detail)
    return moved


async def note(
    connection: AsyncConnection,
    visit: Visit,
    step: Step,
    row: DemandRow,
    reason: str,
    **detail: str,
) -> None:
    """The audit entry of a step."""
    await record(
        connection,
        who=visit.who,
        action=Action(f"web:demand:{step.value}"),
        subject=f"demand:{row.number}",
        detail={"reason": reason, **detail},
        from_address=visit.address,
    )


def read_letter(filing: Filing, now: datetime) -> Letter:
    """The letter with its deadline. Raises AskedWrongly that says what is wrong, YearNotEntered."""
    received = filing.received_at
    if not now - OLDEST < received <= now + timedelta(minutes=1):
        raise AskedWrongly("the letter must have arrived by now, and within the last year")
    if filing.letter_date > received.astimezone(ZONE).date():
        raise AskedWrongly("the letter is dated after it arrived")
    body = authority_on(filing.letter_date)
    other = read_text(filing.sender) if filing.sender.strip() else None
    calendar = state_calendar()
    due = due_at(filing.term, received, calendar)
    return Letter(
        sender_kk=other or body.kk,
        sender_ru=other or body.ru,
        from_authority=other is None,
        letter_number=read_text(filing.letter_number),
        letter_date=filing.letter_date,
        ground=read_text(filing.ground),
        signatory=read_text(filing.signatory),
        came_by=filing.came_by,
        hand_over_by=filing.hand_over_by,
        received_at=received,
        unit=filing.term.unit.value,
        count=filing.term.count,
        due_at=due,
        warn_at=warn_at(received, due, calendar),
    )


def read_scan(content: bytes) -> Scan:
    """The scan of a letter, by what it begins with. Raises AskedWrongly."""
    if len(content) > LARGEST_SCAN:
        raise AskedWrongly(f"the scan has more than {LARGEST_SCAN // 1024**2} MB: scan it smaller")
    for begin, media_type in SCANS.items():
        if content.startswith(begin):
            return Scan(media_type, content)
    raise AskedWrongly("the scan of the letter must be a file of kind PDF, PNG or JPEG")


def read_text(written: str) -> str:
    """A text that is needed, on one line. Raises AskedWrongly."""
    text = " ".join(written.split())
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        raise AskedWrongly(f"a text is missing, or has more than {LONGEST_TEXT} characters")
    return text
