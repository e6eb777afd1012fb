"""The audit log: chained, gapless under concurrency, append-only."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.platform.audit import store
from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.rules.hash_chain import GENESIS, Entry, canonical, next_hash
from callcenter.platform.audit.store import record, record_once
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.actions import RecordingAction
from callcenter.users.actions import AccountAction

ENTRY = Entry(
    id=7,
    at=datetime(2026, 11, 24, 14, 5, 9, 120, UTC),
    who="user:aigul",
    action=AppealAction.APPEAL_VIEWED,
    subject="2600000017",
    detail={"by": "page"},
    from_address="127.0.0.1",
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
details = st.dictionaries(
    text, text | st.integers(-(2**53), 2**53) | st.booleans() | st.none(), max_size=3
)


async def entries(engine: AsyncEngine) -> list[tuple[Entry, bytes]]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(select(audit_entry).order_by(audit_entry.c.id))
        return [(Entry(*row[:7]), row.hash) for row in rows]


async def add(engine: AsyncEngine, subject: str = "somebody") -> None:
    async with unit_of_work(engine) as connection:
        await record(
            connection, who="system:test", action=AccountAction.USER_ADDED, subject=subject
        )


@pytest.mark.parametrize(
    "change",
    [
        {"id": 8},
        {"at": ENTRY.at + timedelta(microseconds=1)},
        {"who": "user:asel"},
        {"action": IdentityAction.SIGNED_IN},
        {"subject": "2600000024"},
        {"detail": {}},
        {"from_address": None},
    ],
)
def test_a_change_of_any_field_changes_the_hash(change: dict[str, object]) -> None:
    changed = replace(ENTRY, **change)  # type: ignore[arg-type]
    assert next_hash(GENESIS, changed) != next_hash(GENESIS, ENTRY)
    assert next_hash(b"\1" * 32, ENTRY) != next_hash(GENESIS, ENTRY)


def test_the_canonical_form_ignores_time_zone_and_order() -> None:
    almaty = timezone(timedelta(hours=5))
    one = replace(ENTRY, detail={"a": 1, "ә": None}, at=ENTRY.at.astimezone(almaty))
    other = replace(ENTRY, detail={"ә": None, "a": 1})
    assert canonical(one) == canonical(other)
    assert canonical(ENTRY) == (
        b'[7,"2026-11-24T14:05:09.000120+00:00","user:aigul","web:appeal:viewed",'
        b'"2600000017",{"by":"page"},"127.0.0.1"]'
    )


def test_every_action_follows_the_grammar() -> None:
    for action in offers(Action):
        assert re.fullmatch(r"(web|command|telephone|controller)(:[a-z][a-z_]*){2}", action)


async def test_entries_written_at_once_form_one_chain_without_gaps(engine: AsyncEngine) -> None:
    await asyncio.gather(*(add(engine, f"user {n}") for n in range(20)))
    written = await entries(engine)
    assert [entry.id for entry, _ in written] == list(range(1, 21))
    assert {entry.subject for entry, _ in written} == {f"user {n}" for n in range(20)}
    previous = GENESIS
    for entry, digest in written:
        assert digest == next_hash(previous, entry)
        previous = digest


async def test_what_the_database_returns_hashes_the_same(
    engine: AsyncEngine,
) -> None:
    @given(subject=text, detail=details)
    def collect(subject: str, detail: dict[str, str | int | bool | None]) -> None:
        samples.append((subject, detail))

    samples: list[tuple[str, dict[str, str | int | bool | None]]] = []
    collect()
    async with unit_of_work(engine) as connection:
        for subject, detail in samples:
            await record(
                connection,
                who="system:test",
                action=AccountAction.USER_ADDED,
                subject=subject,
                detail=detail,
            )
    previous = GENESIS
    for (entry, digest), (subject, detail) in zip(await entries(engine), samples, strict=True):
        assert (entry.subject, entry.detail) == (subject, detail)
        assert digest == next_hash(previous, entry)
        previous = digest


async def test_an_entry_goes_with_its_transaction(engine: AsyncEngine) -> None:
    async def fail() -> None:
        async with unit_of_work(engine) as connection:
            await record(
                connection, who="system:test", action=AccountAction.USER_ADDED, subject="x"
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await add(engine)
    assert [entry.id for entry, _ in await entries(engine)] == [1]


@pytest.mark.parametrize(
    "statement",
    [delete(audit_entry), update(audit_entry).values(who="user:nobody")],
    ids=["delete", "update"],
)
async def test_the_log_refuses_to_be_rewritten(engine: AsyncEngine, statement: object) -> None:
    await add(engine)
    with pytest.raises(DBAPIError, match="append-only"):
        async with unit_of_work(engine) as connection:
            await connection.execute(statement)  # type: ignore[call-overload]
    assert len(await entries(engine)) == 1


async def listen(engine: AsyncEngine, who: str, within: timedelta) -> None:
    async with unit_of_work(engine) as connection:
        await record_once(
            connection,
            within=within,
            who=who,
            action=RecordingAction.RECORDING_LISTENED,
            subject="r",
        )


async def test_the_same_act_within_the_time_is_one_entry(engine: AsyncEngine) -> None:
    for _ in range(3):
        await listen(engine, "user:aigul", timedelta(minutes=10))
    await listen(engine, "user:asel", timedelta(minutes=10))
    await listen(engine, "user:aigul", timedelta(0))
    assert [entry.who for entry, _ in await entries(engine)] == [
        "user:aigul",
        "user:asel",
        "user:aigul",
    ]


async def test_a_clock_that_was_put_back_hides_no_act(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the same act is in the log already, dated tomorrow."""

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=1)

    with monkeypatch.context() as ahead:
        ahead.setattr(store, "datetime", Tomorrow)
        await listen(engine, "user:aigul", timedelta(minutes=10))
    for _ in range(2):
        await listen(engine, "user:aigul", timedelta(minutes=10))
    assert len(await entries(engine)) == 2
