"""The records officer sees why recordings are set aside, and says what became of each."""

from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.demands.recorded import sealed_talk
from tests.recordings.test_sealing_worker import keep, recorded
from tests.web.browser import form_token, visible
from tests.web.conftest import Enter


async def settled(client: httpx.AsyncClient, which: UUID, reason: str) -> httpx.Response:
    token = await form_token(client, "/quarantine")
    return await client.post(f"/quarantine/{which}", data={"form_token": token, "reason": reason})


async def test_the_officer_settles_each_recording_with_words(
    enter: Enter, settings: Settings, engine: AsyncEngine
) -> None:
    settings.spool.mkdir(parents=True)
    tools = WorkerResources(settings, engine)
    failed, other = await recorded(tools, b"\0" * 3), await recorded(tools)
    await keep(tools)
    await sealed_talk(settings, engine)  # as long as its conversation: nobody has to look at it
    async with enter(Role.RECORDS_OFFICER) as officer:
        officer.headers["accept-language"] = "en"
        shown = visible((await officer.get("/quarantine")).text)
        assert "There is no recording of this conversation" in shown
        assert f"{failed}.raw" in shown
        assert "It lasts 1:04; the conversation lasted 0:00" in shown
        assert shown.count("What became of it") == 2
        empty = await settled(officer, failed, " ")
        assert empty.status_code == 400
        assert "Say in words what became of it." in visible(empty.text)
        done = await settled(officer, failed, "the disk was  pulled out")
        assert done.headers["location"] == "/quarantine"
        left = (await officer.get("/quarantine")).text
        assert str(failed) not in left
        assert str(other) in left
        again = await settled(officer, failed, "once more")
        assert "settled it meanwhile" in visible(again.text)
    query = text("SELECT who, subject, detail ->> 'reason' FROM audit_entry WHERE action = :done")
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(query, {"done": "web:recording:settled"})
        (entry,) = [tuple(row) for row in rows]
    assert entry[0].startswith("user:records_officer-")
    assert entry[1:] == (f"recording:{failed}", "the disk was pulled out")
