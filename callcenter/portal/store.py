"""Functions of the database that the portal may call: none reads what others wrote.

They are those of migrations 0120 and 0122 to 0124, and run with the rights of their owner. The
role of the portal reads and changes no table.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.rules import number as numbers
from callcenter.platform.storage.engine import unit_of_work
from callcenter.portal.rules import TooManyMessages
from callcenter.portal.sealing import OwnCopy, ReceiptKey

_RECEIVE = text("SELECT * FROM portal_receive(:form, :message, :urgent, :sealed)")
_GIVE_RECEIPT = text(
    "SELECT portal_give_receipt(:message, :proof, :recipient, :locked, :sealed_copy)"
)
_MAY_RECEIVE = text(
    "SELECT has_function_privilege('portal_receive(uuid,uuid,boolean,bytea)', 'EXECUTE')"
)
_NOTE_EXIT = text("SELECT portal_note_exit(:written)")
_READ_NEWEST_COPIES = text(
    "SELECT * FROM portal_read_newest_copies(:year, :sequence, :proof, :older_than)"
)
SHOWN_AT_ONCE = 50  # copies; the database gives one more where there are older ones


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """The applicant's copy of a message as it is stored, and how its appeal stands.

    The center has it once it is taken. The stage is that which applicants learn; None: they learn
    of none, or nobody has read it yet.
    """

    message_id: UUID
    sent_at: datetime
    locked: bytes
    sealed: bytes
    is_taken: bool
    stage: str | None
    registered_on: date | None
    due_on: date | None


async def may_receive(engine: AsyncEngine) -> bool:
    """Whether a message could be stored: the database is there, and our right in it."""
    async with unit_of_work(engine) as connection:
        return bool(await connection.scalar(_MAY_RECEIVE))


async def receive(
    engine: AsyncEngine, form: UUID, message: UUID, sealed: bytes, *, is_urgent: bool
) -> str | None:
    """Store a message, once, and return the number that its appeal has or will have.

    A form has one number, however many messages were sent by it, until they are erased. None: this
    one is over, and what it says is to be stored as another. Raises TooManyMessages.
    """
    values = {"form": form, "message": message, "urgent": is_urgent, "sealed": sealed}
    async with unit_of_work(engine) as connection:
        row = (await connection.execute(_RECEIVE, values)).one_or_none()
    if row is None:
        return None
    if row.number_year is None:
        raise TooManyMessages
    return numbers.make(*row)


async def give_receipt(engine: AsyncEngine, message: UUID, key: ReceiptKey, copy: OwnCopy) -> bool:
    """Store the applicant's copy of a message, once; whether its receipt is this one."""
    values = {
        "message": message,
        "proof": key.proof,
        "recipient": copy.recipient,
        "locked": copy.locked,
        "sealed_copy": copy.sealed,
    }
    async with unit_of_work(engine) as connection:
        return bool((await connection.execute(_GIVE_RECEIPT, values)).scalar_one())


async def read_copies(
    engine: AsyncEngine, number: str, key: ReceiptKey, older_than: UUID | None = None
) -> tuple[list[StoredCopy], bool]:
    """The newest copies of a receipt, in order, and whether there are older ones.

    Those `older_than` a message, if it is given; none for a wrong number or secret alike. Their
    appeals are read at this moment.
    """
    year, sequence = numbers.split(number)
    values = {"year": year, "sequence": sequence, "proof": key.proof, "older_than": older_than}
    async with unit_of_work(engine) as connection:
        newest = [StoredCopy(*row) for row in await connection.execute(_READ_NEWEST_COPIES, values)]
    return newest[:SHOWN_AT_ONCE][::-1], len(newest) > SHOWN_AT_ONCE


async def note_exit(engine: AsyncEngine, written: UUID) -> None:
    """Note that somebody left the page of a form quickly, or of a message that was opened.

    Of a form that sent nothing there is nothing to note.
    """
    async with unit_of_work(engine) as connection:
        await connection.execute(_NOTE_EXIT, {"written": written})
