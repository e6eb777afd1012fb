"""Finding recordings and the page of the player: who gets what, and what the audit log has."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.recordings import queries
from callcenter.appeals.recordings.queries import RecordingFilter
from callcenter.consultants.tables import consultant
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.tables import recording
from tests.web.browser import visible
from tests.web.conftest import CONSULTANT, RECEIVED, Call, Enter
from tests.web.test_listening import reported, work_in


async def another(engine: AsyncEngine, call: Call, *, minutes: int) -> UUID:
    """One more recording of the same call, that began and lasted so many minutes later and long."""
    identity = uuid4()
    query = select(recording).where(recording.c.id == call.recording)
    async with unit_of_work(engine) as connection:
        row = (await connection.execute(query)).mappings().one()
        values: dict[Any, Any] = {
            **row,
            "id": identity,
            "spool_name": f"{minutes}.raw",
            "store_name": f"{minutes}",
            "started_at": RECEIVED + timedelta(minutes=minutes),
            "duration_ms": minutes * 60_000,
        }
        await connection.execute(insert(recording).values(values))
    return identity


async def found(client: httpx.AsyncClient, call: Call, **requested: str) -> bool:
    answer = await client.get("/search/recordings", params=requested)
    assert answer.status_code == 200, requested
    return f'href="/recordings/{call.recording}"' in answer.text


FITTING_AND_NOT = [
    ({"caller": "8 701 234 56 67"}, {"caller": "8 701 234 56 68"}),
    ({"consultant": "2001"}, {"consultant": "2002"}),
    ({"consultant": "айгүл"}, {"consultant": "Айгерим"}),
    ({"since": "2026-11-24", "until": "2026-11-24"}, {"until": "2026-11-23"}),
    ({"language": "ru"}, {"language": "kk"}),
    ({"outcome": "talked"}, {"outcome": "message"}),
    ({"at_most": "1"}, {"at_least": "1"}),
    ({}, {"since": "2026-11-25"}),
]
WRONG = [
    {"appeal": "2600000001"},
    {"caller": "anonymous"},
    {"since": "yesterday"},
    {"until": "9999-12-31"},
    {"at_least": "-1"},
    {"at_most": "9" * 40},
    {"language": "de"},
    {"outcome": "\0"},
    {"before": "nonsense"},
    {"consultant": "\0"},
]


async def test_a_recording_is_found_by_what_is_stored_of_it(
    head: httpx.AsyncClient, call: Call
) -> None:
    for fitting, other in FITTING_AND_NOT:
        assert await found(head, call, **fitting)
        assert not await found(head, call, **other)


async def test_a_recording_is_found_by_its_appeal_with_details(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    assert await found(head, call, appeal=call.number)
    shown = visible((await head.get("/search/recordings")).text)
    for part in (call.number, "14:05:21", "Russian", "+7 701 *** ** 67", CONSULTANT, "0:35"):
        assert part in shown
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.detail).where(audit_entry.c.action == "web:recording:searched")
        )
        assert rows.scalars().all() == [{"filters": "appeal_number", "found": 1}]


async def test_an_invalid_search_is_refused(head: httpx.AsyncClient) -> None:
    for requested in WRONG:
        assert (await head.get("/search/recordings", params=requested)).status_code == 400, (
            requested
        )


async def test_recordings_come_the_newest_first_page_by_page(
    engine: AsyncEngine, call: Call
) -> None:
    longer = [await another(engine, call, minutes=minutes) for minutes in (3, 2)]
    async with unit_of_work(engine) as connection:
        first = await queries.find(connection, RecordingFilter(), limit=2)
        place = (first[-1].started_at, first[-1].id)
        rest = await queries.find(connection, RecordingFilter(), before=place, limit=2)
        long = await queries.find(connection, RecordingFilter(shortest=timedelta(minutes=3)))
    assert [row.id for row in first] == longer
    assert [row.id for row in rest] == [call.recording]
    assert [row.id for row in long] == longer[:1]


async def test_what_is_not_stored_is_not_found(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(update(recording).values(state="erased"))
    assert not await found(head, call)
    assert (await head.get(f"/recordings/{call.recording}")).status_code == 404
    head.headers["accept-language"] = "en"
    assert "was erased" in visible((await head.get(f"/appeals/{call.number}")).text)


@pytest.mark.parametrize(("own", "may"), [("night", True), ("day", False)])
async def test_a_senior_is_shown_no_recording_of_another_team(
    enter: Enter, engine: AsyncEngine, call: Call, own: str, may: bool
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(update(consultant).values(team="night"))
    async with enter(Role.SENIOR) as senior:
        await work_in(engine, Role.SENIOR, own)
        assert await found(senior, call) is may
        assert await found(senior, call, consultant="2001") is may
        appeal = await senior.get(f"/appeals/{call.number}")
        given = (await senior.get(f"/api/v1/appeals/{call.number}")).json()["recordings"]
        player = await senior.get(f"/recordings/{call.recording}")
    assert (f'href="/recordings/{call.recording}"' in appeal.text) is may
    assert (given[0]["audio"] is not None) is may
    assert player.status_code == (200 if may else 400)
    assert ("/audio" in player.text) is may
    refused = [("web:recording:listening_refused", {"appeal": str(call.id), "why": "other_team"})]
    assert await reported(engine) == ([] if may else refused)


async def test_nothing_is_heard_without_a_reason(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    for reason in ("", "reason=", "reason=curiosity", "reason=other", "reason=other&words=%20"):
        answer = await head.get(f"/api/v1/recordings/{call.recording}/audio?{reason}")
        assert answer.status_code == 400, reason
        assert call.audio not in answer.content
    assert await reported(engine) == []


async def test_each_reason_that_is_given_is_in_the_log(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    address = f"/api/v1/recordings/{call.recording}/audio"
    given = [{"reason": "quality"}, {"reason": "other", "words": "the court's letter"}]
    for why in [given[0], *given]:
        answer = await head.get(address, params=why, headers={"range": "bytes=0-9"})
        assert answer.status_code == 206
        assert answer.headers["cache-control"] == "no-store"
    appeal = {"appeal": str(call.id)}
    assert await reported(engine) == [("web:recording:listened", appeal | why) for why in given]


async def test_the_player_asks_why_before_anything_is_sent_for(
    head: httpx.AsyncClient, call: Call
) -> None:
    answer = await head.get(f"/recordings/{call.recording}")
    assert f'action="/api/v1/recordings/{call.recording}/audio"' in answer.text
    assert 'name="reason" required' in answer.text
    assert "<audio" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert 'id="player" class="player"' in answer.text
    assert "hidden>" in answer.text
