"""What a preview of masking counts is what masking changes, of every kind of thing there is."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.register.masking import Goes
from callcenter.storage.engine import unit_of_work
from tests.web.browser import form_token
from tests.web.conftest import CALLER, Call
from tests.web.promised import owe
from tests.web.test_letters import ASKED, enter_letter, letters
from tests.web.test_masking import ask, closed, decide, officer
from tests.web.test_records import send
from tests.web.test_work_lists import put

assert closed, officer  # fixtures, which tests ask for by their names

Row = Mapping[str, Any]
#: The tables of what is counted; the content of the record is named by its keys.
TABLES = {
    Goes.CALLER: "appeal",
    Goes.CALLED: "outgoing_call",
    Goes.PROMISED: "promise",
    Goes.DRAFTS: "record_draft",
    Goes.FILES: "record_attachment",
    Goes.LETTERS: "record_letter",
    Goes.LETTER_CHANGES: "record_letter_change",
    Goes.REMINDERS: "record_reminder",
    Goes.IDENTIFIERS: "record_identifier",
    Goes.REASONS: "record_move",
    Goes.CODES: "record",
    Goes.CHANGES: "record_change",
}
#: Where it is kept that somebody masked; by what an appeal is found.
NOT_COUNTED = {"masking", "masked", "audit_entry", "web_session", "record_search", "search_word"}
#: With no row here: what masking itself writes, and what a recording has, which it leaves alone.
EMPTY = {"masked", "masking", "demand_recording", "recording_erasure", "recording_hold"}


@pytest.fixture
async def whole(head: httpx.AsyncClient, engine: AsyncEngine, call: Call, closed: str) -> str:
    """An appeal that has a row in each table that an appeal can have one in."""
    [letter] = await letters(head, closed)
    changed = ASKED | {"whom": "Сейтова", "letter": letter["id"], "version": "1"}
    assert (await enter_letter(head, closed, changed, f"/{letter['id']}")).status_code == 303
    assert (await send(head, closed, "draft", version=2, **{"f.content": "t"})).status_code == 200
    await put(engine, "UPDATE record SET receipt_code = '1234'")
    await owe(engine, call, number=CALLER)
    await put(engine, "UPDATE promise SET state = 'closed', ended_at = now()")
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
    assert set(preview["goes"]) == set(Goes)
    assert 0 not in preview["goes"].values()

    assert (await decide(head, engine)).status_code == 303
    after = await rows(engine, database)
    changed = {name: gone_or_changed(before[name], after[name]) for name in before}
    counted = Counter[str]()
    for what, count in preview["goes"].items():
        counted[TABLES[what]] += count
    kept = {name: count for name, count in changed.items() if count and name not in NOT_COUNTED}
    assert kept == counted
    assert set(preview["keys"]) == set(entered) - set(await content(head, whole))

    assert (await ask(officer, whole)).status_code == 303
    again = await previewed(head)
    assert (set(again["goes"].values()), again["keys"]) == ({0}, [])


async def test_a_rule_counts_the_same_and_the_page_says_it_of_both(
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
            kept = (await connection.execute(table.select())).mappings().all()
            ids = [key.name for key in table.primary_key]
            found[name] = {tuple(row[each] for each in ids): dict(row) for row in kept}
    return found


def gone_or_changed(before: Mapping[Any, Row], after: Mapping[Any, Row]) -> int:
    """How many rows are not there any more, or not as they were."""
    return sum(after.get(key) != row for key, row in before.items())
