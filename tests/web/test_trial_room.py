"""A room above appeals has all that it registers, without a line changed in the product."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bootstrap.rooms import ROOMS
from callcenter.bootstrap.web import web_modules
from callcenter.commands.web import running_beside
from callcenter.commands.worker import serve
from callcenter.platform.core.registry import register_rooms
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.table_rights import apply_rights
from callcenter.platform.web.application import background_loops
from callcenter.platform.web.context import DONE_COOKIE
from callcenter.recordings.retention import store as retention
from tests.polling import until
from tests.trial_room.actions import GardenAction
from tests.trial_room.permissions import GardenPermission
from tests.trial_room.room import ROOM, TREE_WAITS, NothingToWatch
from tests.trial_room.tables import tree
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter, open_call, unfurnished
from tests.web.live import line, person
from tests.web.test_erasure_pages import decision_path, sent
from tests.web.test_masking import SAID, ask, decide, officer
from tests.web.test_masking_preview import previewed
from tests.web.test_records import WHOLE, send
from tests.web.test_search import found as search

assert officer  # a fixture, which a test asks for by its name

WHOM = "Алмагуль Яблонева"
DECISION = {"approve": "true", "reason": "its time is over"}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The whole site with the garden above all other rooms."""
    register_rooms([*ROOMS, ROOM])
    yield unfurnished(tmp_path_factory.mktemp("nowhere"))
    register_rooms(ROOMS)


@pytest.fixture(autouse=True)
async def table(routes: FastAPI, engine: AsyncEngine) -> None:
    """Its table, as a migration makes it, and the rights that the room offers."""
    async with unit_of_work(engine) as connection:
        await connection.run_sync(tree.create)
        await connection.run_sync(apply_rights)


@pytest.fixture
async def auditor(enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    async with enter(Role.AUDITOR) as client:
        client.headers["accept-language"] = "en"
        yield client


async def save(client: httpx.AsyncClient, number: str, **values: Any) -> None:
    saved = await send(client, number, version=0, **WHOLE | {"kind": "complaint"} | values)
    assert saved.status_code == 303


async def promise(client: httpx.AsyncClient, number: str) -> httpx.Response:
    token = await form_token(client, f"/appeals/{number}")
    answer = await client.post(f"/appeals/{number}/trees", data={"form_token": token, "whom": WHOM})
    assert answer.headers["location"] == f"/appeals/{number}#trees"
    return answer


async def plant(client: httpx.AsyncClient, number: str) -> httpx.Response:
    token = await form_token(client, f"/appeals/{number}")
    answer = await client.post(f"/garden/{number}/planted", data={"form_token": token})
    assert answer.headers["location"] == f"/garden/{number}"
    return answer


async def trees(engine: AsyncEngine) -> list[tuple[UUID, str | None]]:
    """Whose trees there are, and for whom."""
    async with unit_of_work(engine) as connection:
        stored = await connection.execute(select(tree.c.appeal_id, tree.c.whom))
        return [(row.appeal_id, row.whom) for row in stored]


async def test_its_tree_is_on_the_appeals_page_and_found(
    head: httpx.AsyncClient, auditor: httpx.AsyncClient, call: Call
) -> None:
    await save(head, call.number)
    await promise(head, call.number)
    page = (await head.get(f"/appeals/{call.number}")).text
    assert f"<li>tree for {WHOM}</li>" in page
    assert f'<a href="/garden">A tree for {WHOM}</a>' in page
    assert f"an orchard at {CALLER[-4:]}" in page
    assert await search(head, "яблонева") == [call.number]
    hidden = (await auditor.get(f"/appeals/{call.number}")).text
    assert WHOM not in hidden  # to whom no personal data are shown


async def test_its_tree_goes_on_where_its_appeal_is_joined(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await save(head, call.number)
    _, again = await open_call(engine, "call-2", datetime.now(UTC))
    await save(head, again)
    await promise(head, again)
    assert await search(head, WHOM) == [again]
    joined = await send(head, again, "join", version=1, into=call.number, reason="Об одном")
    assert joined.headers["location"] == f"/appeals/{call.number}"
    assert await trees(engine) == [(call.id, WHOM)]
    assert WHOM in (await head.get(f"/appeals/{call.number}")).text
    assert WHOM not in (await head.get(f"/appeals/{again}")).text
    assert await search(head, WHOM) == [call.number]


async def test_a_part_that_is_split_has_its_tree_too(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await save(head, call.number)
    await promise(head, call.number)
    split = await send(head, call.number, "split", version=1, key="content")
    part = split.headers["location"].split("/")[2]
    assert part != call.number
    for number in (call.number, part):
        assert f"<li>tree for {WHOM}</li>" in (await head.get(f"/appeals/{number}")).text
    assert [whom for _, whom in await trees(engine)] == [WHOM, WHOM]


async def test_masking_erases_its_names_once_no_promise_keeps_them(
    head: httpx.AsyncClient, officer: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    appeal_id, number = await open_call(engine, "call-2", datetime.now(UTC))
    await save(head, number, **SAID | {"kind": "consultation"})
    await promise(head, number)
    closed = await send(head, number, "move", version=1, after="closed", reason="Решено")
    assert closed.status_code == 303
    assert (await ask(officer, number)).status_code == 303
    preview = await previewed(head)
    assert (preview["goes"]["trees"], preview["kept"]) == (1, {"tree_promised": 1})
    page = visible((await head.get("/masking")).text)
    assert "Names on trees: 1" in page
    assert "They stay: a tree is promised. 1" in page
    refused = await decide(head, engine)
    assert refused.status_code == 400
    assert "They stay: a tree is promised." in visible(refused.text)
    assert await trees(engine) == [(appeal_id, WHOM)]

    await plant(head, number)
    assert (await decide(head, engine)).status_code == 303
    assert await trees(engine) == [(appeal_id, None)]
    assert "<li>tree for –</li>" in (await head.get(f"/appeals/{number}")).text
    assert await search(head, WHOM) == []


async def test_its_hold_keeps_a_recording_and_is_explained(
    head: httpx.AsyncClient, officer: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await promise(head, call.number)
    async with unit_of_work(engine) as connection:
        await retention.hold(connection, [call.recording], "of_no_room:5")
    page = (await head.get(f"/recordings/{call.recording}")).text
    assert f'Held in the garden: <a href="/garden/{call.number}">{call.number}</a>' in page
    assert "of_no_room: 5" in page
    async with unit_of_work(engine) as connection:
        await retention.release(connection, "of_no_room:5")
    await sent(officer, f"/recordings/{call.recording}/erasure", reason="its time is over")
    path = await decision_path(engine)
    assert "is held" in visible((await sent(head, path, **DECISION)).text)
    await plant(head, call.number)
    assert (await sent(head, path, **DECISION)).headers["location"] == "/erasures"


async def test_its_work_list_has_what_waits(head: httpx.AsyncClient, call: Call) -> None:
    await promise(head, call.number)
    [first, *_] = (await head.get("/api/v1/work-lists")).json()
    assert first == {"list": "trees", "count": 1}
    listed = (await head.get("/api/v1/work-lists/trees")).json()
    assert [each["number"] for each in listed["appeals"]] == [call.number]
    assert "Trees to plant" in (await head.get("/work?list=trees")).text
    await plant(head, call.number)
    assert (await head.get("/api/v1/work-lists/trees")).json()["appeals"] == []


async def test_its_actions_have_words_in_the_audit_log(
    head: httpx.AsyncClient, auditor: httpx.AsyncClient, call: Call
) -> None:
    await promise(head, call.number)
    assert WHOM in (await head.get(f"/garden/{call.number}")).text
    page = (await auditor.get("/audit", params={"subject": call.number})).text
    choices, _, entries = page.partition("<tbody>")
    for action in GardenAction:
        assert f'value="{action}">{action.label}</option>' in choices
    assert re.findall("<td>(Tree[^<]+)</td>", entries) == ["Trees looked at", "Tree promised"]
    appeal = visible((await auditor.get(f"/appeals/{call.number}")).text)
    opened = appeal.partition("Who opened it")[2].partition("All that was done with it")[0]
    assert "Trees looked at" in opened
    assert "Tree promised" not in opened


async def test_its_loop_runs_in_the_worker_and_its_alert_shows(
    head: httpx.AsyncClient, redis: Redis, settings: Settings, call: Call
) -> None:
    await promise(head, call.number)
    with pytest.raises(NothingToWatch):
        await serve(settings)

    async def shown() -> bool:
        return TREE_WAITS.label in visible((await head.get("/live")).text)

    async with line(redis, settings, "line-1", person("201", "ru")):
        await until(shown, "the alert is on the wallboard")


async def test_its_loop_runs_beside_the_pages(app: FastAPI) -> None:
    loops = background_loops(app.state.site, web_modules())
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(20), running_beside(loops):
            await asyncio.Event().wait()
    assert [type(each) for each in ended.value.exceptions] == [NothingToWatch]


async def test_its_permission_opens_its_pages_to_its_role_alone(
    enter: Enter, head: httpx.AsyncClient
) -> None:
    async with enter(Role.SENIOR) as senior:
        assert (await senior.get("/garden")).status_code == 403
        assert 'href="/garden"' not in (await senior.get("/search")).text
    page = (await head.get("/garden")).text
    assert 'href="/garden"' in (await head.get("/search")).text
    [script] = re.findall(r'src="(/static/garden[^"]+)"', page)
    assert "Garden" in (await head.get(script)).text
    permissions = (await head.get("/api/v1/session")).json()["permissions"]
    assert GardenPermission.TEND in permissions
    described = (await head.get("/api/openapi.json")).json()
    session = described["components"]["schemas"]["Session"]
    assert GardenPermission.TEND in session["properties"]["permissions"]["items"]["enum"]


async def test_it_says_which_of_its_forms_need_no_confirmation(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert DONE_COOKIE in (await promise(head, call.number)).cookies
    assert DONE_COOKIE not in (await plant(head, call.number)).cookies
