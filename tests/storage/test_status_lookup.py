"""How appeals stand, told to who proves that they are theirs, and to nobody who guesses (R13)."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.extensions import NewsSource, NewsSources
from callcenter.appeals.rules.number import make
from callcenter.appeals.status import lookup
from callcenter.appeals.status.lookup import (
    APPEAL_ATTEMPT_LIMIT,
    CALLER_ATTEMPT_LIMIT,
    AppealStatusRow,
    SqlAppealStatusLookup,
    delete_expired,
)
from callcenter.appeals.tables import record
from callcenter.platform.storage.engine import unit_of_work, within

CALLER = "+77010004567"
FORWARDED = AppealStatusRow("forwarded", True, date(2026, 12, 16))


async def appeal(engine: AsyncEngine, **values: object) -> str:
    """An appeal of CALLER with a record, whose receipt's code is 0427."""
    appeal_id, now = uuid4(), datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        number = await appeals.open_appeal(
            connection,
            appeal_id=appeal_id,
            call_id=str(appeal_id),
            channel="call",
            caller_kind="number",
            caller_number=CALLER,
            received_at=now,
        )
        row = {
            "appeal_id": appeal_id,
            "version": 1,
            "stage": "forwarded",
            "content": {"applicant.phone": "8 (727) 250-11-22"},
            "receipt_code": "0427",
            "extended": True,
            "due_on": date(2026, 12, 16),
            "changed_at": now,
        }
        await connection.execute(insert(record).values(row | values))
    return number


@pytest.mark.parametrize("proof", ["4567", "0427", "1122"])
async def test_telephone_end_or_receipt_code_proves_ownership(
    engine: AsyncEngine, proof: str
) -> None:
    number = await appeal(engine)
    assert await SqlAppealStatusLookup(engine).look_up(number, proof, "1.1", CALLER) == FORWARDED


@pytest.mark.parametrize(
    "proof", ["", "0", "456", "94567", "0000", "٤٥٦٧", "****", "null", "x" * 99]
)
async def test_any_other_proof_and_any_other_number_are_answered_alike(
    engine: AsyncEngine, proof: str
) -> None:
    register, number = SqlAppealStatusLookup(engine), await appeal(engine)
    assert await register.look_up(number, proof, "1.1", CALLER) is None
    assert await register.look_up(make(26, 4_000_000), proof, "1.1", CALLER) is None


async def test_an_appeal_without_a_number_and_a_code_is_nobodys(engine: AsyncEngine) -> None:
    number = await appeal(engine, receipt_code=None, content={})
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text("UPDATE appeal SET caller_kind = 'withheld', caller_number = NULL")
        )
    assert await SqlAppealStatusLookup(engine).look_up(number, "", "1.1", None) is None


async def guessed(register: SqlAppealStatusLookup, number: str, callers: Sequence[str]) -> None:
    for caller in callers:
        assert await register.look_up(number, "9999", "1.1", caller) is None


async def test_guessing_at_one_appeal_ends_for_every_guesser(engine: AsyncEngine) -> None:
    register, number = SqlAppealStatusLookup(engine), await appeal(engine)
    await guessed(register, number, [f"+7701{n:07}" for n in range(APPEAL_ATTEMPT_LIMIT)])
    assert await register.look_up(number, "4567", "1.1", CALLER) is None


async def test_a_caller_guessing_at_many_appeals_learns_nothing(engine: AsyncEngine) -> None:
    register, number = SqlAppealStatusLookup(engine), await appeal(engine)
    for sequence in range(CALLER_ATTEMPT_LIMIT):
        await guessed(register, make(26, 5_000 + sequence), ["+77019999999"])
    assert await register.look_up(number, "4567", "1.1", "+77019999999") is None
    assert await register.look_up(number, "4567", "1.1", CALLER) == FORWARDED


async def test_an_owner_asking_repeatedly_always_gets_the_status(engine: AsyncEngine) -> None:
    register, number = SqlAppealStatusLookup(engine), await appeal(engine)
    for _ in range(APPEAL_ATTEMPT_LIMIT + 2):
        assert await register.look_up(number, "4567", "1.1", CALLER) == FORWARDED


async def test_tries_are_forgotten_after_a_day(engine: AsyncEngine) -> None:
    register, number = SqlAppealStatusLookup(engine), await appeal(engine)
    await guessed(register, number, [CALLER] * (APPEAL_ATTEMPT_LIMIT + 1))
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text("UPDATE status_attempt SET first_at = first_at - interval '25 hours'")
        )
        await delete_expired(connection)
        left = await connection.execute(text("SELECT count(*) FROM status_attempt"))
        assert left.scalar_one() == 0
    assert await register.look_up(number, "4567", "1.1", CALLER) == FORWARDED


async def test_a_joined_appeals_status_is_the_continuing_ones(engine: AsyncEngine) -> None:
    goes_on = await appeal(engine, stage="in_work", due_on=None, extended=False)
    joined = await appeal(engine, receipt_code="9876")
    async with unit_of_work(engine) as connection:
        ends = {}
        for number in (goes_on, joined):
            row = await appeals.find(connection, number)
            assert row is not None
            ends[number] = row.id
        await connection.execute(
            update(record)
            .where(record.c.appeal_id == ends[joined])
            .values(stage="joined", joined_to=ends[goes_on])
        )
    reported = await SqlAppealStatusLookup(engine).look_up(joined, "9876", "1.1", CALLER)
    assert reported == AppealStatusRow("in_work", False, None)


@pytest.mark.parametrize("proof", ["0427", "4567"])
async def test_a_status_is_said_whatever_becomes_of_its_bodies(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, proof: str
) -> None:
    monkeypatch.setattr(lookup, "SOURCES_TIMEOUT", 0.01)

    async def fail(_connection: AsyncConnection, _appeal: UUID) -> Sequence[NewsSource]:
        raise ValueError("a kind of body of a later version")

    async def hang(_connection: AsyncConnection, _appeal: UUID) -> Sequence[NewsSource]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    number = await appeal(engine)
    for read in (fail, hang):
        register = SqlAppealStatusLookup(engine, [NewsSources(read)])
        assert await register.look_up(number, proof, "1.1", CALLER) == FORWARDED


async def test_what_was_no_request_has_no_status(engine: AsyncEngine) -> None:
    number = await appeal(engine, stage="no_request", due_on=None)
    assert await SqlAppealStatusLookup(engine).look_up(number, "4567", "1.1", CALLER) is None


@pytest.mark.parametrize(
    ("kind", "content", "urgent", "is_in_need"),
    [
        (None, {}, [], False),
        ("complaint", {"danger": "no", "urgency": "ordinary"}, [], False),
        ("danger", {}, [], True),
        (None, {"danger": "yes"}, [], True),
        (None, {"urgency": "urgent"}, [], True),
        (None, {}, ["silent"], True),
        (None, {"danger": "no"}, ["danger"], True),
    ],
)
async def test_need_is_recognized_by_key_and_by_the_record(
    engine: AsyncEngine,
    kind: str | None,
    content: dict[str, str],
    urgent: list[str],
    is_in_need: bool,
) -> None:
    number = await appeal(engine, kind=kind, content=content)
    async with unit_of_work(engine) as connection:
        row = await appeals.find(connection, number)
        assert row is not None
        settled = appeals.AppealUpdate(row.id, urgent=urgent)
        await appeals.change_appeals(within(connection), [settled])
    assert await SqlAppealStatusLookup(engine).is_in_need(row.id) is is_in_need
    assert not await SqlAppealStatusLookup(engine).is_in_need(uuid4())
