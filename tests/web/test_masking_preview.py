"""What a preview of masking counts is what masking changes, of every kind of thing there is."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import MetaData, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.tables import record_attachment
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from tests.intake.messages import message, receive
from tests.web.browser import form_token
from tests.web.callback_factories import owe
from tests.web.conftest import CALLER, Call
from tests.web.factories import request_that_is_ready
from tests.web.test_letters import REQUESTED, enter_letter, letters
from tests.web.test_masking import ask, closed, decide, officer
from tests.web.test_oral_contacts import at, note
from tests.web.test_records import send
from tests.web.test_work_lists import put

assert closed, officer  # fixtures, which tests ask for by their names

Row = Mapping[str, Any]
#: The tables of what is counted; the content of the record is named by its keys.
TABLES = {
    "caller": "appeal",
    "called": "outgoing_call",
    "promised": "promise",
    "drafts": "record_draft",
    "files": "record_attachment",
    "letters": "record_letter",
    "letter_changes": "record_letter_change",
    "oral": "oral_contact",
    "psychology": "psychological_note",
    "talks": "psychological_talk",
    "follow_ups": "follow_up_call",
    "reminders": "record_reminder",
    "identifiers": "record_identifier",
    "reasons": "record_move",
    "codes": "record",
    "wishes": "contact_wish",
    "closed_numbers": "contact_wish",
    "changes": "record_change",
    "sealed_numbers": "sealed_number",
    "written": "intake_message",
    "portal": "portal_message",
    "requests": "body_request",
    "request_steps": "body_request_step",
    "notification_steps": "urgent_notification_step",
}
#: Where it is kept that somebody masked; by what an appeal is found.
NOT_COUNTED = {"masking", "masked", "audit_entry", "web_session", "record_search", "search_word"}
#: With no row here: what masking itself writes, and what a recording has, which it leaves alone.
EMPTY = {"masked", "masking", "demand_recording", "recording_erasure", "recording_hold"}

SEALED = "INSERT INTO sealed_number SELECT id, 'age', 'a law', now() + interval '1 day' FROM appeal"
#: What is not asked for any more keeps no data.
OPENED = (
    "INSERT INTO number_opening (id, appeal_id, state, reason, asked_by, asked_at, decided_by)"
    " SELECT id, id, 'refused', 'r', 'user:a', now(), 'user:b' FROM appeal"
)
#: Whose note nobody but a psychologist opens.
NOTED = (
    "INSERT INTO psychological_note (id, appeal_id, author, at, sealed)"
    " SELECT id, id, 'user:a', now(), '-' FROM appeal"
)
BOOKED = (
    "INSERT INTO psychological_talk (id, appeal_id, user_name, due_at, booked_by, booked_at)"
    " SELECT id, id, 'a', now(), 'user:b', now() FROM appeal"
)
FOLLOWED_UP = (
    "INSERT INTO follow_up_call (id, appeal_id, user_name, due_at, booked_by, booked_at)"
    " SELECT id, id, 'a', now(), 'user:b', now() FROM appeal"
)
#: Was read out from the directory, and stays.
REFERRED = (
    "INSERT INTO body_referral (id, appeal_id, body, said, author, at)"
    " SELECT appeal.id, appeal.id, code, 'Көлік министрлігі', 'user:a', now() FROM appeal, body"
    " WHERE code = 'transport'"
)
NOTIFIED = (
    "WITH begun AS (INSERT INTO urgent_notification (id, appeal_id, body, state, begun_at, author,"
    " escalated, ended_at) SELECT id, id, 'transport', 'withdrawn', now(), 'user:a', 0, now()"
    " FROM appeal RETURNING id)"
    " INSERT INTO urgent_notification_step (notification_id, ordinal, step, at, author, called)"
    " SELECT id, 1, 'called', now(), 'user:a', '102' FROM begun"
)
#: A body has nothing of it any more.
WITHDRAWN = "UPDATE body_request SET state = 'withdrawn'"
REASONED = "UPDATE body_request_step SET sealed = (SELECT sealed FROM body_request)"


#: The copy of who wrote on the portal, which the receipt opens.
COPIED = (
    "INSERT INTO portal_message (id, form, year, sequence, urgent, received_at, receipt_at,"
    " proof_hash, recipient, locked, sealed_copy, appeal_id)"
    " SELECT id, id, 26, 1, false, now(), now(), '-', 'age1', '-', '-', id FROM appeal"
)
#: Who read what was written stays.
READ = "UPDATE written_contact SET done_at = now(), done_by = 'user:a'"


@pytest.fixture
async def whole(
    head: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, call: Call, closed: str
) -> str:
    """An appeal that has a row in each table that an appeal can have one in."""
    [letter] = await letters(head, closed)
    changed = REQUESTED | {"whom": "Сейтова", "letter": letter["id"], "version": "1"}
    assert (await enter_letter(head, closed, changed, f"/{letter['id']}")).status_code == 303
    assert (await send(head, closed, "draft", version=2, **{"f.content": "t"})).status_code == 200
    await put(engine, "UPDATE record SET receipt_code = '1234'")
    await owe(engine, call, number=CALLER)
    await put(engine, "UPDATE promise SET state = 'closed', ended_at = now()")
    await put(engine, SEALED)
    await put(engine, OPENED)
    await put(engine, NOTED)
    await put(engine, BOOKED)
    await put(engine, FOLLOWED_UP)
    await put(engine, REFERRED)
    await put(engine, NOTIFIED)
    await receive(engine, settings, message(joins=closed))
    await put(engine, READ)
    await put(engine, COPIED)
    async with unit_of_work(engine) as connection:
        file = (await connection.execute(select(record_attachment.c.id))).scalar_one()
    await request_that_is_ready(settings, engine, call, file)
    await put(engine, WITHDRAWN)
    await put(engine, REASONED)
    assert (await note(head, closed, at=at(timedelta()))).status_code == 303
    token = await form_token(head, f"/appeals/{closed}")
    said = {"form_token": token, "allowed": "false", "other": "8 701 999 88 77"}
    answer = await head.post(f"/appeals/{closed}/contact-wishes", data=said)
    assert answer.status_code == 303
    return closed


async def test_a_preview_counts_all_that_goes_and_nothing_else(
    head: httpx.AsyncClient, officer: httpx.AsyncClient, engine: AsyncEngine, whole: str
) -> None:
    database = await reflected(engine)
    before = await rows(engine, database)
    # A table that is added later must have a row here, and so be masked and counted, or stay.
    assert {name for name in of_appeals(database) if not before[name]} == EMPTY
    entered = await content(head, whole)
    assert (await ask(officer, whole)).status_code == 303
    preview = await previewed(head)
    assert preview["appeals"] == 1
    assert set(preview["goes"]) == set(TABLES)
    assert 0 not in preview["goes"].values()

    assert (await decide(head, engine)).status_code == 303
    after = await rows(engine, database)
    changed = {name: gone_or_changed(before[name], after[name]) for name in before}
    counted = Counter[str]()
    for what, count in preview["goes"].items():
        counted[TABLES[what]] += count
    stored = {name: count for name, count in changed.items() if count and name not in NOT_COUNTED}
    assert stored == counted
    assert set(preview["keys"]) == set(entered) - set(await content(head, whole))

    assert (await ask(officer, whole)).status_code == 303
    again = await previewed(head)
    assert (set(again["goes"].values()), again["keys"]) == ({0}, [])


async def test_a_rule_counts_alike_and_the_page_says_so(
    head: httpx.AsyncClient, officer: httpx.AsyncClient, engine: AsyncEngine, whole: str
) -> None:
    assert (await ask(officer, whole)).status_code == 303
    of_one = await previewed(head)
    assert (await decide(head, engine, approve="false")).status_code == 303
    token = await form_token(officer, "/masking")
    rule = {"form_token": token, "kind": "consultation", "days": "30", "reason": "r"}
    assert (await officer.post("/masking", data=rule)).status_code == 303
    assert set((await previewed(head))["goes"].values()) == {0}  # nothing is due yet
    await put(engine, "UPDATE record SET changed_at = now() - interval '40 days'")
    of_rule = await previewed(head)
    assert of_rule["goes"] | {"changes": of_one["goes"]["changes"]} == of_one["goes"]
    head.cookies.set("callcenter_language", "en")
    page = (await head.get("/masking")).text
    for said in ("Letters and requests: 1", "Changes of letters: 2", "Drafts: 1", "Files: 1"):
        assert said in page


async def previewed(client: httpx.AsyncClient) -> dict[str, Any]:
    """What the only thing that waits would mask."""
    [waits] = (await client.get("/api/v1/maskings")).json()["waiting"]
    return dict(waits["preview"])


async def content(client: httpx.AsyncClient, number: str) -> dict[str, Any]:
    return dict((await client.get(f"/api/v1/appeals/{number}/record")).json()["content"])


async def reflected(engine: AsyncEngine) -> MetaData:
    """The tables as the database has them."""
    found = MetaData()
    async with engine.connect() as connection:
        await connection.run_sync(found.reflect)
    return found


def of_appeals(database: MetaData) -> set[str]:
    """Tables whose rows belong to an appeal, by themselves or by what they belong to."""
    found = {"appeal"}
    while more := {
        table.name
        for table in database.tables.values()
        if table.name not in found
        and any(key.column.table.name in found for key in table.foreign_keys)
    }:
        found |= more
    return found


async def rows(engine: AsyncEngine, database: MetaData) -> dict[str, dict[tuple[Any, ...], Row]]:
    """All rows of each table, by their primary key."""
    found: dict[str, dict[tuple[Any, ...], Row]] = {}
    async with unit_of_work(engine) as connection:
        for name, table in database.tables.items():
            stored = (await connection.execute(table.select())).mappings().all()
            ids = [key.name for key in table.primary_key]
            found[name] = {tuple(row[each] for each in ids): dict(row) for row in stored}
    return found


def gone_or_changed(before: Mapping[Any, Row], after: Mapping[Any, Row]) -> int:
    """How many rows are not there any more, or not as they were."""
    return sum(after.get(key) != row for key, row in before.items())
