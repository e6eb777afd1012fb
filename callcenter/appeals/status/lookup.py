"""Status of an appeal for an applicant with a proof, by telephone or API client (R13).

The proof is the last four digits of the telephone on the appeal, or the code of the receipt. Four
digits are guessed in time, so tries are few: for each appeal and for whoever asks, counted before
they are judged. Wrong number, wrong proof and too many tries have one answer, after the same work:
the same statements, of which each finds its row by an index or finds none.

Which body has an appeal is said by the receipt alone: whoever is at home knows the telephone.
"""

import asyncio
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.extensions import NewsSource, NewsSources
from callcenter.appeals.record.store import IS_URGENT_CASE
from callcenter.appeals.rules.number import is_valid
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.tables import record, status_attempt
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.identity.store import hash_of
from callcenter.platform.storage.engine import unit_of_work

log = logging.getLogger(__name__)

APPEAL_ATTEMPT_LIMIT = 10  # in a day: a guesser needs three years for even odds
CALLER_ATTEMPT_LIMIT = 10
GUESSED_ATTEMPT_LIMIT = 2  # of each visitor while an API client's visitors guess
ATTEMPT_INTERVAL = timedelta(days=1)
LOOKUP_TIMEOUT = 3.0  # seconds, in which the caller hears nothing
SOURCES_TIMEOUT = 1.0  # seconds more, after which no body is named
NEED_LOOKUP_TIMEOUT = 1.0  # seconds for the same: a caller in need is not surveyed
MERGE_LIMIT = 5  # merges that are followed

#: The announced status of a stage, as prompts are named; other stages are not announced.
SPOKEN_STATES = {
    AppealState.CONTACT: "in_work",
    AppealState.REGISTERED: "registered",
    AppealState.IN_WORK: "in_work",
    AppealState.FORWARDED: "forwarded",
    AppealState.ANSWERED: "answered",
    AppealState.CLOSED: "closed",
}

_IN_NEED = (
    select(appeal.c.id)
    .outerjoin(record, record.c.appeal_id == appeal.c.id)
    .where(appeal.c.id == bindparam("id"), IS_URGENT_CASE)
)


@dataclass(frozen=True, slots=True)
class AppealStatusRow:
    """Status of an appeal (the port `telephony.calls.ports.AppealStatus`)."""

    stage: str
    extended: bool
    due_on: date | None
    registered_on: date | None = None
    sources: tuple[NewsSource, ...] = ()
    #: The appeal whose bodies may be named to whoever asks: it was proved by its receipt.
    named: UUID | None = field(default=None, compare=False)

    @property
    def telephone(self) -> str | None:
        """The telephone of all bodies that have it, if they have one telephone."""
        telephones = {each.telephone for each in self.sources}
        return telephones.pop() if len(telephones) == 1 else None


class SqlAppealStatusLookup:
    """Status lookup for callers: the port `telephony.calls.ports.AppealStatusLookup`."""

    def __init__(self, engine: AsyncEngine, sources: Sequence[NewsSources] = ()) -> None:
        self._engine = engine
        self._sources = sources

    def is_number(self, typed: str) -> bool:
        return is_valid(typed)

    async def look_up(
        self, number: str, proof: str, call_id: str, caller: str | None
    ) -> AppealStatusRow | None:
        """Look up a status. Raises OperationFailed after three seconds without an answer."""
        # A caller who withholds the number is limited by the call.
        requester = caller or call_id
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT), unit_of_work(self._engine) as connection:
                status = await look_up_status(connection, number, proof, requester)
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            raise OperationFailed("the register does not answer") from exc
        return status and await name_sources(self._engine, status, self._sources)

    async def is_in_need(self, appeal_id: UUID) -> bool:
        """Whether the caller reported danger or silence by key, or the record does (R11).

        Raises OperationFailed within a second when the database does not answer.
        """
        try:
            async with (
                asyncio.timeout(NEED_LOOKUP_TIMEOUT),
                unit_of_work(self._engine) as connection,
            ):
                return (await connection.execute(_IN_NEED, {"id": appeal_id})).first() is not None
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            raise OperationFailed("the register does not answer") from exc


async def look_up_for_client(
    connection: AsyncConnection,
    machine: str,
    visitor: str,
    number: str,
    proof: str,
    *,
    client_attempt_limit: int,
) -> AppealStatusRow | None:
    """Look up a status for a visitor of an API client; each visitor has few attempts.

    When all visitors together guessed too often today, each has fewer, and supervisors are alerted:
    whoever knows their proof comes through, whoever guesses does not. As `look_up_status` it has no
    `sources` yet.
    """
    is_calm = await _count(connection, "machine", machine, client_attempt_limit)
    requester = f"{machine}:{hash_of(visitor).hex()}"
    limit = CALLER_ATTEMPT_LIMIT if is_calm else GUESSED_ATTEMPT_LIMIT
    status = await look_up_status(connection, number, proof, requester, limit)
    if status is not None:
        await _refund(connection, "machine", machine)
    return status


async def guessed_clients(connection: AsyncConnection, limit: int) -> list[str]:
    """The API clients whose visitors made more wrong tries than this within a day."""
    found = await connection.scalars(
        select(status_attempt.c.key).where(
            status_attempt.c.scope == "machine",
            status_attempt.c.count > limit,
            status_attempt.c.first_at > datetime.now(UTC) - ATTEMPT_INTERVAL,
        )
    )
    return list(found)


async def look_up_status(
    connection: AsyncConnection,
    number: str,
    proof: str,
    requester: str,
    limit: int = CALLER_ATTEMPT_LIMIT,
) -> AppealStatusRow | None:
    """The status of an appeal; None without its proof, or after too many attempts.

    It has no `sources` yet: see `name_sources`.
    """
    counted = await _count(connection, "appeal", number, APPEAL_ATTEMPT_LIMIT)
    counted &= await _count(connection, "caller", requester, limit)
    proven = await _verify_proof(connection, number, proof)
    if proven is None or not counted:
        return None
    appeal_id, is_by_receipt = proven
    status = await _read_status(connection, appeal_id)
    if status is not None:
        await _refund(connection, "appeal", number)
        await _refund(connection, "caller", requester)
    return status if status is None or is_by_receipt else replace(status, named=None)


async def name_sources(
    engine: AsyncEngine, status: AppealStatusRow, sources: Sequence[NewsSources]
) -> AppealStatusRow:
    """A status with the bodies that have the appeal, as far as they may be named.

    They are read apart, once the try is counted: without them the rest is said all the same.
    """
    named = status.named
    if named is None:
        return status
    try:
        async with asyncio.timeout(SOURCES_TIMEOUT), unit_of_work(engine) as connection:
            read = [source for each in sources for source in await each.read(connection, named)]
    except Exception as exc:  # a version after this may store what this one does not know
        log.error("bodies of an appeal not read: appeal %s: %r", named, exc)
        return status
    return replace(status, sources=tuple(read))


async def _verify_proof(
    connection: AsyncConnection, number: str, proof: str
) -> tuple[UUID, bool] | None:
    """The appeal of a number whose proof is right, and whether that is the receipt's code.

    It is not where the end of a telephone is the same. The work is alike for a wrong proof.
    """
    query = select(
        appeal.c.id,
        appeal.c.caller_number,
        record.c.receipt_code,
        record.c.content["applicant.phone"].astext.label("phone"),
    ).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
    row = (await connection.execute(query.where(appeal.c.number == number))).one_or_none()
    proofs = [None] * 3 if row is None else [row.receipt_code, row.caller_number, row.phone]
    fits = [hmac.compare_digest(_last_four(each), proof.encode()) for each in proofs]
    if row is None or not any(fits) or len(proof) != 4:
        return None
    return row.id, not any(fits[1:])


async def _read_status(connection: AsyncConnection, appeal_id: UUID) -> AppealStatusRow | None:
    """The status of an appeal, or of the one that it was merged into."""
    names = ("stage", "extended", "due_on", "registered_on", "joined_to")
    columns = [record.c[name] for name in names]
    for _ in range(MERGE_LIMIT):
        query = select(*columns).where(record.c.appeal_id == appeal_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return AppealStatusRow("in_work", False, None)
        if row.joined_to is None:
            stage = SPOKEN_STATES.get(AppealState(row.stage))
            if stage is None:
                return None
            terms = (row.extended, row.due_on, row.registered_on)
            return AppealStatusRow(stage, *terms, named=appeal_id)
        appeal_id = row.joined_to
    return None


def _last_four(text: str | None) -> bytes:
    digits = "".join(each for each in text or "" if each.isdecimal() and each.isascii())
    return digits[-4:].encode()


async def _count(connection: AsyncConnection, scope: str, key: str, limit: int) -> bool:
    """Count an attempt; False beyond the limit, which later attempts do not prolong."""
    now = datetime.now(UTC)
    expired = status_attempt.c.first_at < now - ATTEMPT_INTERVAL
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


async def _refund(connection: AsyncConnection, scope: str, key: str) -> None:
    """Uncount a successful attempt: daily questions about one's own appeal are not limited."""
    await connection.execute(
        update(status_attempt)
        .where(status_attempt.c.scope == scope, status_attempt.c.key == key)
        .values(count=func.greatest(status_attempt.c.count - 1, 0))
    )


async def delete_expired(connection: AsyncConnection) -> None:
    """Delete attempts that no longer count."""
    old = status_attempt.c.first_at < datetime.now(UTC) - ATTEMPT_INTERVAL
    await connection.execute(delete(status_attempt).where(old))
