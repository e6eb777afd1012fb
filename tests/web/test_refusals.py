"""Who tries path after path does not fill the audit log, and nothing of it is lost in meaning."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.refusals import WHOLE, WINDOW, record_ended_counts
from callcenter.platform.identity.tables import refusal_count
from callcenter.platform.storage.engine import unit_of_work
from tests.web.conftest import Enter

MORE = 7


async def read_entries(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    """Who, action and subject of the entries of refusals, in their order."""
    query = (
        select(audit_entry.c.who, audit_entry.c.action, audit_entry.c.subject)
        .where(audit_entry.c.action.startswith("web:access:"))
        .order_by(audit_entry.c.id)
    )
    async with unit_of_work(engine) as connection:
        return [(row.who, row.action, row.subject) for row in await connection.execute(query)]


async def end_hour(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        before = datetime.now(UTC) - WINDOW - timedelta(seconds=1)
        await connection.execute(update(refusal_count).values(since=before))


@pytest.mark.parametrize("by", ["worker", "next refusal"])
async def test_refusals_beyond_the_first_are_counted(
    enter: Enter, engine: AsyncEngine, by: str
) -> None:
    async with enter(Role.CONSULTANT) as consultant:
        tried = [f"/api/v1/users/name-{n}" for n in range(WHOLE + MORE)]
        answers = await asyncio.gather(*(consultant.get(path) for path in tried))
        assert {answer.status_code for answer in answers} == {403}
        entries = await read_entries(engine)
        who = entries[0][0]
        assert len(entries) == WHOLE
        assert {subject for *_, subject in entries} < {f"GET {path}" for path in tried}
        await end_hour(engine)
        if by == "worker":
            async with unit_of_work(engine) as connection:
                await record_ended_counts(connection, datetime.now(UTC))
        assert (await consultant.get("/api/v1/users")).status_code == 403
    assert (await read_entries(engine))[WHOLE:] == [
        ("system:refusals", "web:access:more_refused", who),
        (who, "web:access:refused", "GET /api/v1/users"),
    ]
    async with unit_of_work(engine) as connection:
        action = audit_entry.c.action == "web:access:more_refused"
        detail = await connection.scalar(select(audit_entry.c.detail).where(action))
        assert detail is not None
        assert detail["count"] == MORE


async def test_few_refusals_leave_no_count(enter: Enter, engine: AsyncEngine) -> None:
    async with enter(Role.CONSULTANT) as consultant:
        assert (await consultant.get("/api/v1/users")).status_code == 403
    await end_hour(engine)
    async with unit_of_work(engine) as connection:
        await record_ended_counts(connection, datetime.now(UTC))
        assert await connection.scalar(select(refusal_count.c.who)) is None
    assert [action for _, action, _ in await read_entries(engine)] == ["web:access:refused"]
