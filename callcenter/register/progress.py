"""How an appeal stands, told to who proves that it is theirs (R13): by telephone, by a machine.

The proof is the last four digits of the telephone on the appeal, or the code of the receipt. Four
digits are guessed in time, so tries are few: for each appeal and for whoever asks, counted before
they are judged. Wrong number, wrong proof and too many tries have one answer, after the same work:
the same statements, of which each finds its row by an index or finds none.
"""

import asyncio
import hmac
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, case, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.number import is_valid
from callcenter.appeals.tables import appeal
from callcenter.errors import WeFailed
from callcenter.register.stages import Kind, Stage
from callcenter.register.tables import record, status_attempt
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import TooManyTries
from callcenter.web.store import hash_of

TRIES_OF_APPEAL = 10  # in a day: a guesser needs three years for even odds
TRIES_OF_CALLER = 10
DAY = timedelta(days=1)
PATIENCE = 3.0  # seconds: the caller hears nothing meanwhile
NEED_WITHIN = 1.0  # seconds for the same: who is not known to be well is not asked for a mark
JOINS = 5  # that are followed from an appeal to the one that it goes on in

#: What is told of a stage, as prompts are named; nobody is told of one that is not here.
TOLD = {
    Stage.CONTACT: "in_work",
    Stage.REGISTERED: "registered",
    Stage.IN_WORK: "in_work",
    Stage.FORWARDED: "forwarded",
    Stage.ANSWERED: "answered",
    Stage.CLOSED: "closed",
}

_IN_NEED = (
    select(appeal.c.id)
    .outerjoin(record, record.c.appeal_id == appeal.c.id)
    .where(
        appeal.c.id == bindparam("id"),
        or_(
            appeal.c.urgent != literal_column("'{}'"),
            record.c.kind == Kind.DANGER.value,
            record.c.content["danger"].astext == "yes",
            record.c.content["urgency"].astext == "urgent",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is told (`callcenter.line.ports.Progress`)."""

    stage: str
    extended: bool
    due_on: date | None
    registered_on: date | None = None


class AppealsProgress:
    """The register, as far as applicants may ask it by telephone: `line.ports.Appeals`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def is_number(self, typed: str) -> bool:
        return is_valid(typed)

    async def of(
        self, number: str, proof: str, call_id: str, caller: str | None
    ) -> Standing | None:
        """Raises WeFailed within three seconds when the database does not answer."""
        # Whoever withholds a number is limited by the call.
        asker = caller or call_id
        try:
            async with asyncio.timeout(PATIENCE), unit_of_work(self._engine) as connection:
                return await told(connection, number, proof, asker)
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            raise WeFailed("the register does not answer") from exc

    async def is_in_need(self, appeal_id: UUID) -> bool:
        """Whether a caller told of danger or silence by key, or the record says so (R11).

        Raises WeFailed within a second when the database does not answer.
        """
        try:
            async with asyncio.timeout(NEED_WITHIN), unit_of_work(self._engine) as connection:
                return (await connection.execute(_IN_NEED, {"id": appeal_id})).first() is not None
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            raise WeFailed("the register does not answer") from exc


async def told_by_machine(
    connection: AsyncConnection,
    machine: str,
    visitor: str,
    number: str,
    proof: str,
    *,
    tries_of_machine: int,
) -> Standing | None:
    """As `told`, for a visitor of a machine, who is limited as a caller is, and the machine too.

    Raises TooManyTries when the machine has no tries left today, whatever it asks.
    """
    if not await _count(connection, "machine", machine, tries_of_machine):
        raise TooManyTries("there were too many wrong tries of all visitors today: call 111")
    standing = await told(connection, number, proof, f"{machine}:{hash_of(visitor).hex()}")
    if standing is not None:
        await _forgive(connection, "machine", machine)
    return standing


async def told(connection: AsyncConnection, number: str, proof: str, asker: str) -> Standing | None:
    """How the appeal stands; None without its proof, or after too many tries."""
    counted = await _count(connection, "appeal", number, TRIES_OF_APPEAL)
    counted &= await _count(connection, "caller", asker, TRIES_OF_CALLER)
    appeal_id = await _proven(connection, number, proof)
    if appeal_id is None or not counted:
        return None
    standing = await _standing(connection, appeal_id)
    if standing is not None:
        await _forgive(connection, "appeal", number)
        await _forgive(connection, "caller", asker)
    return standing


async def _proven(connection: AsyncConnection, number: str, proof: str) -> UUID | None:
    """The appeal of this number, if the proof fits; the same work whatever is asked."""
    query = select(
        appeal.c.id,
        appeal.c.caller_number,
        record.c.receipt_code,
        record.c.content["applicant.phone"].astext.label("phone"),
    ).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
    row = (await connection.execute(query.where(appeal.c.number == number))).one_or_none()
    proofs = [None] * 3 if row is None else [row.receipt_code, row.caller_number, row.phone]
    fits = [hmac.compare_digest(_last_four(each), proof.encode()) for each in proofs]
    return row.id if row is not None and any(fits) and len(proof) == 4 else None


async def _standing(connection: AsyncConnection, appeal_id: UUID) -> Standing | None:
    """How an appeal stands, or the one that it goes on in."""
    names = ("stage", "extended", "due_on", "registered_on", "joined_to")
    columns = [record.c[name] for name in names]
    for _ in range(JOINS):
        query = select(*columns).where(record.c.appeal_id == appeal_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return Standing("in_work", False, None)
        if row.joined_to is None:
            stage = TOLD.get(Stage(row.stage))
            if stage is None:
                return None
            return Standing(stage, row.extended, row.due_on, row.registered_on)
        appeal_id = row.joined_to
    return None


def _last_four(text: str | None) -> bytes:
    digits = "".join(each for each in text or "" if each.isdecimal() and each.isascii())
    return digits[-4:].encode()


async def _count(connection: AsyncConnection, scope: str, key: str, limit: int) -> bool:
    """Count a try; whether it may be judged. Tries beyond the limit do not prolong it."""
    now = datetime.now(UTC)
    expired = status_attempt.c.first_at < now - DAY
    counted = await connection.execute(
        upsert(status_attempt)
        .values(scope=scope, key=key, count=1, first_at=now)
        .on_conflict_do_update(
            index_elements=["scope", "key"],
            set_={
                "count": case((expired, 1), else_=status_attempt.c.count + 1),
                "first_at": case((expired, now), else_=status_attempt.c.first_at),
            },
        )
        .returning(status_attempt.c.count)
    )
    return bool(counted.scalar_one() <= limit)


async def _forgive(connection: AsyncConnection, scope: str, key: str) -> None:
    """A try that fitted is none: who asks about an own appeal each day is never shut out."""
    await connection.execute(
        update(status_attempt)
        .where(status_attempt.c.scope == scope, status_attempt.c.key == key)
        .values(count=func.greatest(status_attempt.c.count - 1, 0))
    )


async def forget_the_past(connection: AsyncConnection) -> None:
    """Remove tries that no longer count."""
    old = status_attempt.c.first_at < datetime.now(UTC) - DAY
    await connection.execute(delete(status_attempt).where(old))
