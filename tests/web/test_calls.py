"""One's own call by the API: what reaches the controller, and whose call it is."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import outbound_calls, statistics
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.consultants import store
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.tables import consultant as people
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.workspace import pages
from callcenter.workspace.own_call import OwnCall, OwnCallReader
from tests.orders import command_client, command_server
from tests.web.browser import visible
from tests.web.callback_factories import owe
from tests.web.conftest import Call, Enter, open_call
from tests.web.live import LIMIT
from tests.web.test_join_call import audited
from tests.web.test_presence import DIGEST, link, post

STATE = {"caller": "aside", "muted": "no", "guest": "none"}


@pytest.fixture
async def given(redis: Redis) -> AsyncIterator[list[tuple[str, CallCommand]]]:
    """What was asked of the call of 201, which refuses to be redirected."""
    requested: list[tuple[str, CallCommand]] = []

    async def give(call_id: str, order: CallCommand) -> Answer:
        requested.append((call_id, order))
        if order.what == "redirect":
            raise CommandRefused("not now")
        return STATE

    await redis.hset("desk:holders", "201", "1764000000.1 line-1")
    running = asyncio.create_task(command_server(redis, "line-1", give).run())
    yield requested
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def consultant(enter: Enter, engine: AsyncEngine) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of consultant 201."""
    async with unit_of_work(engine) as connection:
        for extension in ("201", "202"):
            await store.add(
                connection, extension=extension, name="A", languages=["kk"], digest=DIGEST
            )
    async with enter(Role.CONSULTANT) as client:
        await link(engine, Role.CONSULTANT, "201")
        yield client


async def test_ones_own_call_is_held_and_looked_at(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]]
) -> None:
    answer = await post(consultant, "/api/v1/calls/mine/hold")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["caller"], answer.json()["muted"]) == ("aside", False)
    assert (await consultant.get("/api/v1/calls/mine")).json() == answer.json()
    assert [(call, order.what, order.consultant) for call, order in given] == [
        ("1764000000.1", "hold", "201"),
        ("1764000000.1", "status", "201"),
    ]


async def test_a_handover_needs_a_consultant_and_a_supported_language(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]]
) -> None:
    await post(consultant, "/api/v1/calls/mine/consult", to="202")
    await post(consultant, "/api/v1/calls/mine/queue", language="ru")
    assert [order.detail for _, order in given] == [{"to": "202"}, {"language": "ru"}]
    for wrong in ({"language": "en"}, {"to": "2" * 51}):
        answer = await post(consultant, "/api/v1/calls/mine/queue", **wrong)
        assert answer.status_code in (400, 422)
    assert len(given) == 2


@pytest.mark.parametrize("what", ["consult", "transfer"])
async def test_who_does_not_exist_is_said_and_reaches_no_call(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]], what: str
) -> None:
    for to, reported in (("299", "no consultant 299"), ("skill:plumber:3", "no skill plumber")):
        answer = await post(consultant, f"/api/v1/calls/mine/{what}", to=to)
        assert (answer.status_code, reported in answer.text) == (400, True)
    assert given == []
    assert (await post(consultant, f"/api/v1/calls/mine/{what}", to="202")).status_code == 200
    assert [order.detail for _, order in given] == [{"to": "202"}]


async def test_what_the_call_refuses_is_said(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]]
) -> None:
    answer = await post(consultant, "/api/v1/calls/mine/redirect")
    assert answer.status_code == 400
    assert "not now" in answer.text
    assert len(given) == 1


async def test_the_workspace_shows_the_call_and_acts_like_the_api(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]]
) -> None:
    consultant.headers["accept-language"] = "en"
    assert "The caller hears music and nobody else." in visible(
        (await consultant.get("/workspace")).text
    )
    answer = await post(consultant, "/workspace/call/transfer", to="skill:lawyer:3")
    assert (answer.status_code, answer.headers["location"]) == (303, "/workspace")
    answer = await post(consultant, "/workspace/call/redirect")
    assert answer.status_code == 400
    assert "This cannot be done with the call now." in visible(answer.text)
    requested = [(order.what, dict(order.detail)) for _, order in given if order.what != "status"]
    assert requested == [("transfer", {"to": "skill:lawyer:3"}), ("redirect", {})]


async def test_a_script_that_stays_gets_no_page_when_done(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]]
) -> None:
    consultant.headers["sec-fetch-dest"] = "empty"
    done = await post(consultant, "/workspace/call/transfer", to="skill:lawyer:3")
    assert (done.status_code, done.content) == (204, b"")
    refused = await post(consultant, "/workspace/call/redirect")
    assert (refused.status_code, 'id="refusal"' in refused.text) == (400, True)
    assert [order.what for _, order in given if order.what != "status"] == ["transfer", "redirect"]


async def test_the_workspace_shows_keys_of_a_caller_who_cannot_speak(
    consultant: httpx.AsyncClient, redis: Redis
) -> None:
    keys = ["1"]

    async def give(_call_id: str, _order: CallCommand) -> Answer:
        return {**STATE, "urgent": "silent", "keys": " ".join(keys)}

    await redis.hset("desk:holders", "201", "1764000000.1 line-1")
    running = asyncio.create_task(command_server(redis, "line-1", give).run())
    consultant.headers["accept-language"] = "en"
    first = (await consultant.get("/workspace")).text
    keys.extend("22")
    second = (await consultant.get("/workspace")).text
    answer = (await consultant.get("/api/v1/calls/mine")).json()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "The caller cannot speak. Ask what can be answered by key" in visible(first)
    assert "Keys that the caller pressed: 1" in visible(first)
    assert "Keys that the caller pressed: 1 2 2" in visible(second)
    assert (answer["urgent"], answer["keys"]) == ("silent", "1 2 2")


async def test_without_a_call_the_workspace_has_no_buttons(
    consultant: httpx.AsyncClient,
) -> None:
    page = (await consultant.get("/workspace")).text
    assert "data-call" not in page
    assert re.search(r'<section id="call"[^>]* hidden>', page)
    assert (await post(consultant, "/workspace/call/hold")).status_code == 400


async def test_help_is_requested_until_a_supervisor_acknowledges(
    consultant: httpx.AsyncClient, head: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    consultant.headers["accept-language"] = head.headers["accept-language"] = "en"
    for _ in range(2):
        answer = await post(consultant, "/workspace/help")
        assert answer.headers["location"] == "/workspace?sent=help"
    page = await consultant.get("/workspace?sent=help")
    assert "The supervisors see that you need help." in visible(page.text)
    board = visible((await head.get("/live")).text)
    assert board.count("A consultant needs help, extension: 201") == 1
    actions = [action for action, _, _ in await audited(engine)]
    assert actions == ["web:workspace:help_requested"] * 2


async def test_what_is_no_order_reaches_no_call(
    consultant: httpx.AsyncClient, given: list[tuple[str, CallCommand]]
) -> None:
    assert (await post(consultant, "/api/v1/calls/mine/explode")).status_code == 404
    assert given == []


async def test_nobody_touches_the_call_of_somebody_else(
    consultant: httpx.AsyncClient, engine: AsyncEngine, given: list[tuple[str, CallCommand]]
) -> None:
    await link(engine, Role.CONSULTANT, "202")
    answer = await post(consultant, "/api/v1/calls/mine/hold")
    assert answer.status_code == 400
    assert "in no call now" in answer.text
    assert given == []


@asynccontextmanager
async def call_of_201(
    redis: Redis, call_id: str, state: Answer | None = None
) -> AsyncIterator[None]:
    """201 has this call: rung for it, or in a conversation of this state, once it has one."""

    async def give(_call_id: str, _order: CallCommand) -> Answer:
        if not state:
            raise CommandRefused("there is no conversation")
        return state

    await redis.hset("desk:holders", "201", f"{call_id} line-1")
    running = asyncio.create_task(command_server(redis, "line-1", give).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await redis.hdel("desk:holders", "201")


async def had_call(engine: AsyncEngine, began: datetime, call_id: str) -> str:
    """A call that 201 had; returns the number of its appeal."""
    appeal_id, number = await open_call(engine, call_id, began)
    async with unit_of_work(engine) as connection:
        consultant_id = await store.id_of(connection, "201")
        await appeals.set_consultant(connection, appeal_id=appeal_id, consultant_id=consultant_id)
    return number


async def test_while_a_call_rings_no_other_record_is_offered(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis
) -> None:
    now = datetime.now(UTC)
    before = await had_call(engine, now - timedelta(minutes=9), "before")

    async def records() -> list[str]:
        page = (await consultant.get("/workspace")).text
        return re.findall(r'"button main" href="/appeals/(\d[\d-]*)"', page)

    assert await records() == [before]
    for state in (None, STATE):
        place = f"rings-{state is None}"
        async with call_of_201(redis, place, state):
            assert await records() == []  # what is not written yet leads nowhere
            _, now_rings = await open_call(engine, place, now)
            assert await records() == [now_rings]
    assert await records() == [before]


async def test_a_conversation_is_shown_as_soon_as_it_begins(
    consultant: httpx.AsyncClient,
    app: FastAPI,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the keys of what may be done with it would do nothing when it is answered."""
    monkeypatch.setattr(pages, "CALL_POLLING_INTERVAL", 3600.0)
    _, number = await open_call(engine, "begins", datetime.now(UTC))
    state: dict[str, str] = {}
    feed, presence = app.state.live_feed, PresenceService(redis, settings)
    events = pages.events(
        app.state.site, feed, presence, app.state.commands, Actor(None), "201", "en"
    )
    async with (
        asyncio.timeout(LIMIT),
        feed.running(),
        call_of_201(redis, "begins", state),
        aclosing(events),
    ):
        async for shown in events:
            if "data-call" in shown:
                break
            if number in shown:
                state.update(STATE)


async def test_a_record_is_bound_to_its_call_until_the_next(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis
) -> None:
    now = datetime.now(UTC)
    before = await had_call(engine, now - timedelta(minutes=9), "before")
    reader = OwnCallReader(engine, command_client(redis), Actor(None), "201")
    assert await reader.read() == OwnCall(is_over=True, appeal=before)
    async with call_of_201(redis, "late", STATE):  # its row comes when it is over
        assert (await reader.read()).appeal is None
    assert await reader.read() == OwnCall(is_over=True)
    _, late = await open_call(engine, "late", now)
    assert await reader.read() == OwnCall(is_over=True, appeal=late)
    _, missed = await open_call(engine, "missed", now)
    async with call_of_201(redis, "missed"):
        assert (await reader.read()).appeal == missed
    assert await reader.read() == OwnCall(is_over=True, appeal=late)


async def test_the_last_call_is_looked_for_until_the_database_answers(
    consultant: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that was opened meanwhile took no answer for no call, and wrap-up ended unheld."""
    before = await had_call(engine, datetime.now(UTC) - timedelta(minutes=9), "before")
    reader = OwnCallReader(engine, command_client(redis), Actor(None), "201")

    async def time_out(*_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as unanswered:
        unanswered.setattr(statistics, "find_last_call", time_out)
        assert await reader.read() == OwnCall(is_over=True)
    assert await reader.read() == OwnCall(is_over=True, appeal=before)


async def test_what_was_hard_is_remembered_after_the_call(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis
) -> None:
    """A recovery pause is proposed then."""
    _, number = await open_call(engine, "hard", datetime.now(UTC))
    reader = OwnCallReader(engine, command_client(redis), Actor(None), "201")
    async with call_of_201(redis, "hard", {**STATE, "urgent": "danger"}):
        assert (await reader.read()).is_in_danger
    over = OwnCall(is_over=True, appeal=number, urgencies=("danger",))
    assert await reader.read() == over
    # A page that is loaded anew knows what is written alone.
    async with unit_of_work(engine) as connection:
        consultant_id = await store.id_of(connection, "201")
        written = update(appeal).where(appeal.c.number == number)
        values = {"urgent": ["danger"], "consultant_id": consultant_id}
        await connection.execute(written.values(values))
    assert await OwnCallReader(engine, command_client(redis), Actor(None), "201").read() == over


async def test_an_outbound_call_leads_to_its_appeal(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis
) -> None:
    now = datetime.now(UTC)
    await had_call(engine, now - timedelta(minutes=9), "before")
    appeal_id, about = await open_call(engine, "about", now - timedelta(days=2))
    async with unit_of_work(engine) as connection:
        await outbound_calls.begin(
            connection,
            appeal_id=appeal_id,
            call_id="outgoing-leg",
            number="+77011234567",
            consultant_id=await store.id_of(connection, "201"),
            began_at=now,
        )
        was = update(appeal).where(appeal.c.id == appeal_id)
        await connection.execute(was.values(language="ru", urgent=["danger"]))
    reader = OwnCallReader(engine, command_client(redis), Actor(None), "201")
    async with call_of_201(redis, "outgoing-place", STATE):
        call = await reader.read()
        assert (call.appeal, call.language, call.signals) == (about, "ru", ())
    assert await reader.read() == OwnCall(is_over=True, appeal=about)


async def test_a_callback_has_its_language_and_urgency(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, call: Call
) -> None:
    promised = await owe(engine, call, language="kk", urgent=True)
    async with unit_of_work(engine) as connection:
        in_danger = update(appeal).where(appeal.c.id == call.id).values(urgent=["danger"])
        await connection.execute(in_danger)
    reader = OwnCallReader(engine, command_client(redis), Actor(None), "201")
    async with call_of_201(redis, f"callback-{promised}"):
        back = await reader.read(is_rung=True)
    assert (back.appeal, back.language, back.is_in_danger) == (call.number, "kk", True)
    assert back.is_callback


async def test_a_caller_in_danger_is_marked_while_ringing(
    consultant: httpx.AsyncClient, engine: AsyncEngine, redis: Redis
) -> None:
    consultant.headers["accept-language"] = "en"
    appeal_id, _ = await open_call(engine, "danger", datetime.now(UTC))
    async with unit_of_work(engine) as connection:
        in_danger = update(appeal).where(appeal.c.id == appeal_id).values(urgent=["danger"])
        await connection.execute(in_danger)
    for state in (None, {**STATE, "urgent": "silent"}):
        async with call_of_201(redis, "danger", state):
            page = visible((await consultant.get("/workspace")).text)
        assert "The caller is in danger." in page
        assert ("The caller cannot speak." in page) == (state is not None)
    assert "The caller is in danger." not in visible((await consultant.get("/workspace")).text)


@pytest.mark.parametrize("heard", ["yes", "no", "unknown"])
async def test_the_workspace_claims_no_sound_that_is_unknown(
    consultant: httpx.AsyncClient, redis: Redis, heard: str
) -> None:
    consultant.headers["accept-language"] = "en"
    async with call_of_201(redis, "1.1", {**STATE, "caller": "here", "heard": heard}):
        page = visible((await consultant.get("/workspace")).text)
    assert "hear each other" not in page
    assert "The caller is connected with you." in page
    assert ("Nothing is heard" in page) == (heard == "no")


async def test_the_reloaded_workspace_leads_to_the_last_record(
    consultant: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    _, of_nobody = await open_call(engine, "call-nobody", now)
    for began, shown in ((now - timedelta(hours=13), False), (now - timedelta(minutes=9), True)):
        number = await had_call(engine, began, f"call-{shown}")
        page = (await consultant.get("/workspace")).text
        assert (f'"button main" href="/appeals/{number}"' in page) == shown
        assert of_nobody not in page


@pytest.mark.usefixtures("consultant")
async def test_ones_own_calls_of_a_day_are_counted_with_marks(engine: AsyncEngine) -> None:
    now = datetime.now(UTC)
    opened = {
        name: (await open_call(engine, name, at))[0]
        for name, at in {
            **dict.fromkeys(("marked", "unmarked", "of another"), now),
            "earlier": now - timedelta(days=1),
        }.items()
    }
    async with unit_of_work(engine) as connection:
        for name, appeal_id in opened.items():
            own = people.c.extension == ("202" if name == "of another" else "201")
            whose = select(people.c.id).where(own).scalar_subquery()
            await connection.execute(
                update(appeal).where(appeal.c.id == appeal_id).values(consultant_id=whose)
            )
            if name != "unmarked":
                event = appeals.EventRow(appeal_id, 1, now, "surveyed", {"mark": 4})
                await appeals.add_events(connection, [event])
        counted = await statistics.count_own_calls(connection, "201", now - timedelta(hours=1))
    assert counted == (2, 1, 4)
