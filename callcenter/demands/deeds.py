"""What people do with demands: each deed is one transaction with its step and its audit entry."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.demands import findings, store
from callcenter.demands.authorities import authority_on
from callcenter.demands.findings import TooMany
from callcenter.demands.matching import Wanted
from callcenter.demands.states import Ground, NotAuthorised, Step, check_sender
from callcenter.demands.store import DemandRow, Letter, Scan
from callcenter.demands.terms import Term, due_at, warn_at
from callcenter.errors import AskedWrongly
from callcenter.recordings.holding import hold, let_go
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Visit
from callcenter.workdays.calendar import ZONE, state_calendar

SEARCHER = "system:demands"  #: the author of what is done by itself
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
    """Enter a demand with its letter; what it means is searched and frozen at once.

    It stays `registered` when too many recordings fit, which are frozen all the same, or when the
    sender is not the authorised body: nothing is opened for others. Raises AskedWrongly that says
    what is wrong, YearNotEntered.
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
        await note(connection, visit.who, visit.address, Step.REGISTERED, row, row.ground, **detail)
        # Whatever the letter means is frozen when the register knows of it, never later.
        try:
            row = await _search(connection, SEARCHER, row)
        except TooMany:
            fitting = await findings.fitting(connection, row.wanted)
            await hold(connection, fitting, held_reason(row))
        except NotAuthorised:
            pass
    return row


async def search(engine: AsyncEngine, visit: Visit, number: str, version: int) -> None:
    """Search once more. Raises NotFound, TooMany, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        await _search(connection, visit.who, await locked(connection, number, version))


async def check(
    engine: AsyncEngine,
    visit: Visit,
    number: str,
    version: int,
    chosen: Collection[UUID],
    reason: str,
) -> None:
    """Say which of the recordings that were found are to be handed over.

    Raises NotFound, AskedWrongly when one is not stored or was not found, and as `take` does.
    """
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        await findings.choose(connection, row.id, chosen)
        await take(
            connection,
            visit,
            Step.CHECKED,
            row,
            reason,
            recordings=" ".join(sorted(map(str, chosen))),
        )


async def return_to_check(
    engine: AsyncEngine, visit: Visit, number: str, version: int, reason: str
) -> None:
    """Send a checked demand back. Raises NotFound, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        await take(connection, visit, Step.RETURNED, row, reason)


async def refuse(
    engine: AsyncEngine, visit: Visit, number: str, version: int, ground: Ground, reason: str
) -> None:
    """Hand over nothing. Raises NotFound, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        await let_go(connection, held_reason(row))
        await take(connection, visit, Step.REFUSED, row, reason, ground=ground)


async def withdraw(
    engine: AsyncEngine, visit: Visit, number: str, version: int, reason: str
) -> None:
    """Note that it is not wanted any more. Raises NotFound, and AskedWrongly as `take` does."""
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        await let_go(connection, held_reason(row))
        await take(connection, visit, Step.WITHDRAWN, row, reason)


async def end_hold(
    engine: AsyncEngine, visit: Visit, number: str, version: int, reason: str
) -> None:
    """Let retention propose the recordings of an acknowledged demand again, before its time.

    Raises NotFound, AskedWrongly when none is held, and as `take` does.
    """
    async with unit_of_work(engine) as connection:
        row = await locked(connection, number, version)
        held = await let_go(connection, held_reason(row))
        if not held:
            raise AskedWrongly("nothing is held for this demand any more")
        await take(connection, visit, Step.HOLD_ENDED, row, reason, recordings=held)


async def end_old_holds(engine: AsyncEngine, now: datetime, kept: timedelta) -> None:
    """End the hold of demands that were acknowledged so long ago. Repeatable."""
    async with unit_of_work(engine) as connection:
        numbers = await store.held_since(connection, now - kept)
    for number in numbers:
        async with unit_of_work(engine) as connection:
            row = await locked(connection, number)
            held = await let_go(connection, held_reason(row))
            if held:
                reason = f"{kept.days} days after the acknowledgement"
                moved = await store.take_step(
                    connection, row, Step.HOLD_ENDED, author=SEARCHER, reason=reason
                )
                await note(
                    connection, SEARCHER, None, Step.HOLD_ENDED, moved, reason, recordings=held
                )


async def locked(connection: AsyncConnection, number: str, version: int | None = None) -> DemandRow:
    """A demand for this transaction alone, as the person saw it (`version`).

    Raises NotFound, SomebodyElse.
    """
    row = await store.lock(connection, number, version)
    if row is None:
        raise NotFound("there is no demand with this number")
    return row


async def _search(connection: AsyncConnection, who: str, row: DemandRow) -> DemandRow:
    """Propose what fits, and freeze it from retention in the same transaction."""
    check_sender(Step.SEARCHED, from_authority=row.from_authority)
    found = await findings.propose(connection, row.id, row.wanted)
    await hold(connection, found, held_reason(row))
    reason = f"{len(found)} fit"
    moved = await store.take_step(connection, row, Step.SEARCHED, author=who, reason=reason)
    by = [name for name, value in asdict(row.wanted).items() if value is not None]
    await note(
        connection, who, None, Step.SEARCHED, moved, reason, by=" ".join(by), found=len(found)
    )
    return moved


def held_reason(row: DemandRow) -> str:
    """What its recordings are held for."""
    return f"demand:{row.number}"


async def take(
    connection: AsyncConnection,
    visit: Visit,
    step: Step,
    row: DemandRow,
    reason: str,
    *,
    ground: Ground | None = None,
    **detail: str | int,
) -> DemandRow:
    """Make a step of a locked demand as the last thing of a transaction, with its audit entry.

    Raises IllegalMove, SamePerson, NotAuthorised; AskedWrongly without a reason.
    """
    why = read_text(reason)
    moved = await store.take_step(
        connection,
        row,
        step,
        author=visit.who,
        reason=why,
        refusal=ground.value if ground else None,
    )
    if ground:
        detail["ground"] = ground.value
    await note(connection, visit.who, visit.address, step, moved, why, **detail)
    return moved


async def note(
    connection: AsyncConnection,
    who: str,
    address: str | None,
    step: Step,
    row: DemandRow,
    reason: str,
    **detail: str | int,
) -> None:
    """The audit entry of a step."""
    await record(
        connection,
        who=who,
        action=Action(f"web:demand:{step.value}"),
        subject=f"demand:{row.number}",
        detail={"reason": reason, **detail},
        from_address=address,
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
