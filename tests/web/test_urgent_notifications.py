"""An urgent notification: one press calls the body on duty, until a person took it (R10, R11)."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import outbound_calls
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.monitoring.alerts import OPEN, close_alerts
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.call_commands import Answer, CallCommand, CommandRefused
from callcenter.telephony.outbound.authorization import OutboundRequest, begin
from callcenter.telephony.outbound.rules import NumberPolicy
from callcenter.urgent_notifications.escalation import escalate, raise_alerts
from tests.orders import command_server
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_bodies import POLICE, find, send
from tests.web.test_presence import link
from tests.web.test_records import rows
from tests.web.test_records import send as send_record

DUTY, OFFICE = "+77172710001", "+77172716100"
CONTACTS = f"telephone | {OFFICE}\nduty | {DUTY}\nduty | 102"
URGENT = {"f.content": "-", "f.urgency": "urgent", "f.danger_reason": "Муж пьян и рядом"}
TOOK = {"step": "taken", "name": "Ахметов Асхат", "post": "оперативный дежурный"}


@dataclass
class Controller:
    """A controller that has what it was ordered, and begins calls in the register."""

    engine: AsyncEngine
    settings: Settings
    orders: list[CallCommand] = field(default_factory=list)
    refuses: bool = False

    async def handle(self, _call_id: str, order: CallCommand) -> Answer:
        self.orders.append(order)
        if self.refuses:
            raise CommandRefused
        if "to" in order.detail:
            return {"guest": "called"}
        appeal_id = UUID(order.detail["appeal_id"])
        request = OutboundRequest(
            order.detail["number"], appeal_id, is_urgent="urgent" in order.detail
        )
        async with unit_of_work(self.engine) as connection:
            query = text("SELECT id FROM consultant WHERE extension = :extension")
            found = await connection.execute(query, {"extension": order.detail["extension"]})
            begun = await begin(
                connection,
                NumberPolicy(),
                self.settings,
                request,
                consultant_id=found.scalar_one(),
                call_id=f"outgoing-{order.order}",
            )
        return {"call": str(begun.call.id), "appeal": begun.appeal}

    async def end_call(self, outcome: str = "not_reached") -> None:
        """End the call that goes on."""
        async with unit_of_work(self.engine) as connection:
            [call] = await outbound_calls.live(connection)
            await outbound_calls.close(
                connection, call.id, outcome=outcome, ended_at=datetime.now(UTC)
            )


@pytest.fixture
async def controller(
    redis: Redis, engine: AsyncEngine, settings: Settings
) -> AsyncIterator[Controller]:
    """A controller that takes any order."""
    made = Controller(engine, settings)
    await redis.zadd("desk:controllers", {"line-1": time.time() + 60})
    running = asyncio.create_task(command_server(redis, "line-1", made.handle, lambda: True).run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def consultant(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, call: Call
) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of consultant 2001, and a body with three numbers."""
    made = await send(head, "/new-body", **POLICE | {"contacts": CONTACTS})
    assert made.status_code == 303, visible(made.text)
    async with enter(Role.CONSULTANT) as client:
        client.headers["accept-language"] = "en"
        await link(engine, Role.CONSULTANT, "2001")
        yield client


async def post(client: httpx.AsyncClient, path: str, **values: Any) -> httpx.Response:
    token = await form_token(client, "/second-factor")
    return await client.post(path, data={"form_token": token, **values})


async def press(client: httpx.AsyncClient, number: str, body: str = "police_71") -> httpx.Response:
    return await post(client, f"/appeals/{number}/urgent-notifications", body=body)


async def act(client: httpx.AsyncClient, number: str, action: str, **values: Any) -> httpx.Response:
    """Send a form of the only notification of an appeal."""
    page = (await client.get(f"/appeals/{number}")).text
    match = re.search(rf"/appeals/{number}/urgent-notifications/([0-9a-f-]+)/", page)
    assert match is not None, visible(page)
    if action == "next":  # what the form shows
        [attempts] = re.findall(r'name="attempts" value="(\d+)"', page)
        values = {"attempts": attempts} | values
    return await post(
        client, f"/appeals/{number}/urgent-notifications/{match[1]}/{action}", **values
    )


async def put(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text(statement), values)


async def steps(engine: AsyncEngine) -> list[str]:
    found = await rows(engine, "SELECT step FROM urgent_notification_step ORDER BY ordinal")
    return [step for (step,) in found]


async def open_alerts(redis: Redis) -> list[str]:
    return sorted(str(each).partition(":")[0] for each in await redis.hkeys(OPEN))


async def test_one_press_calls_the_numbers_of_a_body_in_order(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    query = {"number": call.number, "f.topics": "violence", "f.region": "710000000"}
    offered = visible((await consultant.get("/urgent-notifications/choice", params=query)).text)
    assert f"Notify at once: Police department, {DUTY}, 102, {OFFICE}" in offered
    answer = await press(consultant, call.number)
    assert answer.headers["location"] == f"/appeals/{call.number}#urgent-notifications"
    [order] = controller.orders
    assert dict(order.detail) == {
        "extension": "2001",
        "appeal_id": str(call.id),
        "appeal": call.number,
        "number": DUTY,
        "others": f"102 {OFFICE}",
        "urgent": "yes",
    }
    assert await steps(engine) == ["begun", "called"]
    page = visible((await consultant.get(f"/appeals/{call.number}")).text)
    assert "Police department nobody has taken it yet" in page
    assert f"{DUTY}: the call goes on" in page
    [audited] = await rows(
        engine,
        "SELECT subject, detail->>'body', detail->>'begun' FROM audit_entry"
        " WHERE action = 'web:urgent_notification:called'",
    )
    assert audited == (f"appeal:{call.number}", "police_71", "yes")


async def test_two_presses_at_once_are_one(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    answers = await asyncio.gather(*(press(consultant, call.number) for _ in range(3)))
    assert {each.status_code for each in answers} == {303}
    assert len(controller.orders) == 1
    assert (await press(consultant, call.number)).status_code == 303  # the call goes on
    assert len(controller.orders) == 1
    assert await steps(engine) == ["begun", "called"]
    # Nobody answered: the next press goes on with the same one, by the numbers that are left.
    await controller.end_call()
    assert (await press(consultant, call.number)).status_code == 303
    assert [order.detail["number"] for order in controller.orders] == [DUTY, "102"]
    assert controller.orders[1].detail["others"] == f"{OFFICE} {DUTY}"
    assert await rows(engine, "SELECT count(*) FROM urgent_notification") == [(1,)]


async def test_a_refused_call_leaves_the_notification_and_says_so(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    controller.refuses = True
    refused = await press(consultant, call.number)
    assert refused.status_code == 400
    assert "but your telephone calls nobody" in visible(refused.text)
    assert await steps(engine) == ["begun"]
    controller.refuses = False
    assert (await press(consultant, call.number)).status_code == 303
    assert await steps(engine) == ["begun", "called"]


async def test_an_urgent_call_has_no_hourly_limit(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    controller.settings = Settings(_env_file=None, calls_by_consultant=1, calls_to_number=1)
    for appeal in (call.number, (await open_call(engine, "call-2", datetime.now(UTC)))[1]):
        assert (await press(consultant, appeal)).status_code == 303
        await controller.end_call()


async def test_in_its_call_the_body_is_called_into_the_conversation(
    consultant: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    call: Call,
    controller: Controller,
) -> None:
    _, other = await open_call(engine, "call-2", datetime.now(UTC))
    await redis.hset("desk:holders", "2001", "call-1 line-1")
    assert (await press(consultant, other)).status_code == 400  # of another's call it is no part
    assert controller.orders == []
    assert (await press(consultant, call.number)).status_code == 303
    assert (await press(consultant, call.number)).status_code == 303
    [order] = controller.orders
    assert (order.what, dict(order.detail)) == ("call", {"to": DUTY, "urgent": "yes"})
    for _ in range(4):
        assert (await act(consultant, call.number, "next")).status_code == 303
    called = [order.detail["to"] for order in controller.orders]
    assert called == [DUTY, "102", OFFICE, DUTY, "102"]  # that which was called longest ago


async def test_a_wrong_number_is_reported_and_the_next_is_called(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    await press(consultant, call.number)
    early = await act(consultant, call.number, "next", reason="квартира", wrong_number=DUTY)
    assert early.status_code == 400
    assert "hang up first" in visible(early.text)
    await controller.end_call("talked")
    page = visible((await consultant.get(f"/appeals/{call.number}")).text)
    assert f"Wrong number, nobody of this body is there: {DUTY}" in page
    other = await act(consultant, call.number, "next", wrong_number="102")  # not called last
    assert other.status_code == 400
    went_on = await act(consultant, call.number, "next", reason="квартира", wrong_number=DUTY)
    assert went_on.status_code == 303
    assert [order.detail["number"] for order in controller.orders] == [DUTY, "102"]
    assert await steps(engine) == ["begun", "called", "not_taken", "called"]
    failed = [each.value for each in (await find(engine, "police_71")).contacts if each.failed_at]
    assert failed == [DUTY]
    # Whoever was there is the body, and does not take it: that number stays.
    await controller.end_call("talked")
    await act(consultant, call.number, "next")
    failed = [each.value for each in (await find(engine, "police_71")).contacts if each.failed_at]
    assert failed == [DUTY]


@pytest.mark.parametrize("is_in_call", [False, True])
async def test_two_presses_for_the_next_number_are_one(
    consultant: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    call: Call,
    controller: Controller,
    is_in_call: bool,
) -> None:
    if is_in_call:
        await redis.hset("desk:holders", "2001", "call-1 line-1")
    await press(consultant, call.number)
    if not is_in_call:
        await controller.end_call("talked")
    typed = {"reason": "квартира", "wrong_number": DUTY, "attempts": 1}
    answers = await asyncio.gather(
        *(act(consultant, call.number, "next", **typed) for _ in range(3))
    )
    assert sorted(each.status_code for each in answers) == [303, 400, 400]
    assert await steps(engine) == ["begun", "called", "not_taken", "called"]
    assert len(controller.orders) == 2
    failed = [each.value for each in (await find(engine, "police_71")).contacts if each.failed_at]
    assert failed == [DUTY]


async def test_a_press_after_a_refused_call_notes_nothing_twice(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    await press(consultant, call.number)
    await controller.end_call()
    controller.refuses = True
    for _ in range(2):
        assert (await act(consultant, call.number, "next", reason="занято")).status_code == 400
    assert await steps(engine) == ["begun", "called", "not_taken"]
    controller.refuses = False
    assert (await act(consultant, call.number, "next")).status_code == 303
    assert await steps(engine) == ["begun", "called", "not_taken", "called"]


async def test_an_appeal_with_an_open_one_is_not_without_request(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    await press(consultant, call.number)
    for number, status in ((None, 400), ("reached", 303)):
        if number:
            await act(consultant, call.number, "steps", **TOOK)
            await act(consultant, call.number, "steps", step="reached", reason="Дежурный сказал")
        closed = await send_record(
            consultant, call.number, "no-request", version=0, disposition="wrong_number"
        )
        assert closed.status_code == status, visible(closed.text)
    assert (await press(consultant, call.number)).status_code == 400  # nothing personal of it
    assert await rows(engine, "SELECT count(*) FROM urgent_notification") == [(1,)]


async def test_who_took_it_and_its_end_are_on_the_record(
    consultant: httpx.AsyncClient, engine: AsyncEngine, call: Call, controller: Controller
) -> None:
    await send_record(consultant, call.number, version=0, **URGENT)
    await press(consultant, call.number)
    refused = await act(consultant, call.number, "steps", **TOOK | {"post": " "})
    assert refused.status_code == 400
    assert 'value="Ахметов Асхат"' in refused.text
    assert (await act(consultant, call.number, "steps", **TOOK)).status_code == 303
    assert await rows(
        engine,
        "SELECT danger_passed_at IS NOT NULL, reason"
        " FROM record JOIN record_move USING (appeal_id)",
    ) == [(True, "Управление полиции: Ахметов Асхат, оперативный дежурный")]
    page = visible((await consultant.get(f"/appeals/{call.number}")).text)
    assert "taken, the person is not reached yet" in page
    assert "Who was notified" not in page  # the form of those who notify in another way
    # It is taken, and not twice. A press calls the body, which is asked until the end is known.
    await controller.end_call("talked")
    await press(consultant, call.number)
    assert len(controller.orders) == 2
    assert await steps(engine) == ["begun", "called", "taken", "called"]
    assert (await act(consultant, call.number, "steps", **TOOK)).status_code == 400
    empty = await act(consultant, call.number, "steps", step="reached", reason="")
    assert empty.status_code == 400
    said = {"step": "not_reached", "reason": "Никто не открыл, наряд вернётся в шесть"}
    assert (await act(consultant, call.number, "steps", **said)).status_code == 303
    page = visible((await consultant.get(f"/appeals/{call.number}")).text)
    assert "the person was not reached, the next step is known" in page
    assert "Никто не открыл, наряд вернётся в шесть" in page
    assert await steps(engine) == ["begun", "called", "taken", "called", "not_reached"]
    stored = await rows(engine, "SELECT sealed FROM urgent_notification_step")
    assert all("Ахметов".encode() not in (sealed or b"") for (sealed,) in stored)


@pytest.mark.parametrize("step", ["begun", "called", "escalated", "not_taken"])
async def test_nobody_enters_what_a_press_or_the_clock_does(
    consultant: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    controller: Controller,
    step: str,
) -> None:
    await press(consultant, call.number)
    refused = await act(consultant, call.number, "steps", step=step, reason="-")
    assert refused.status_code == 400
    assert await steps(engine) == ["begun", "called"]


@pytest.mark.parametrize("body", ["nobody", "akimat_71"])
async def test_a_body_without_a_number_is_refused(
    consultant: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    controller: Controller,
    body: str,
) -> None:
    refused = await press(consultant, call.number, body)
    assert refused.status_code == 400
    assert "no number that may be called" in visible(refused.text)
    assert await steps(engine) == []
    assert controller.orders == []


async def test_a_body_that_is_found_without_a_number_is_named(
    consultant: httpx.AsyncClient, call: Call
) -> None:
    query = {"number": call.number, "q": "акимат"}
    named = visible((await consultant.get("/urgent-notifications/choice", params=query)).text)
    assert "No number that may be called" in named
    assert "No body of the directory fits" not in named


async def test_what_nobody_takes_is_escalated_and_alerted(
    consultant: httpx.AsyncClient,
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
    controller: Controller,
) -> None:
    await press(consultant, call.number)
    [(begun_at,)] = await rows(engine, "SELECT begun_at FROM urgent_notification")

    async def watch(minutes: float) -> list[str]:
        """The alerts that are open after so many minutes."""
        now = begun_at + timedelta(minutes=minutes)
        await escalate(worker_engine, settings.urgent_escalations, now)
        await raise_alerts(worker_engine, redis, settings, now)
        return await open_alerts(redis)

    next_contact, shift, commissioner = (
        f"urgent_untaken_{each}" for each in ("next", "shift", "commissioner")
    )
    assert await watch(4.9) == []
    assert await watch(5) == [next_contact]
    assert call.number in (await head.get("/work?list=urgent_untaken")).text
    # A worker that was down for half an hour makes up for each level.
    for minutes in (31, 32):
        assert await watch(minutes) == sorted([next_contact, shift, commissioner])
        assert await steps(engine) == ["begun", "called", *["escalated"] * 3]
    assert await rows(engine, "SELECT escalated FROM urgent_notification") == [(3,)]
    levels = "SELECT detail->>'level' FROM audit_entry WHERE detail->>'step' = 'escalated'"
    assert await rows(engine, f"{levels} ORDER BY id") == [("1",), ("2",), ("3",)]
    await act(consultant, call.number, "steps", **TOOK)
    assert await watch(29) == []


async def test_the_last_mile_is_alerted_until_it_ends(
    consultant: httpx.AsyncClient,
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
    controller: Controller,
) -> None:
    await press(consultant, call.number)
    await act(consultant, call.number, "steps", **TOOK)
    [(taken_at,)] = await rows(engine, "SELECT taken_at FROM urgent_notification")

    async def watch(minutes: float) -> list[str]:
        await raise_alerts(worker_engine, redis, settings, taken_at + timedelta(minutes=minutes))
        return await open_alerts(redis)

    assert await watch(29.9) == []
    assert await watch(30) == ["urgent_unresolved"]
    assert call.number in (await head.get("/work?list=urgent_unresolved")).text
    await close_alerts(redis, [str(each) for each in await redis.hkeys(OPEN)])
    assert await watch(31) == []  # somebody acknowledged it
    await redis.delete(*[key async for key in redis.scan_iter("desk:alarmed:*")])
    assert await watch(60) == ["urgent_unresolved"]  # and forgot it
    ended = await act(consultant, call.number, "steps", step="reached", reason="Дежурный сказал")
    assert ended.status_code == 303
    assert await watch(61) == []


async def test_it_moves_with_the_appeal_that_is_joined(
    consultant: httpx.AsyncClient,
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    call: Call,
    controller: Controller,
) -> None:
    _, into = await open_call(engine, "call-2", datetime.now(UTC))
    for each in (into, call.number):
        await send_record(consultant, each, version=0, **{"f.content": "-"})
        await press(consultant, each)
        if each == into:
            await controller.end_call()  # the one of the other goes on
    joined = await send_record(
        head, call.number, "join", version=1, into=into, reason="одно и то же"
    )
    assert joined.status_code == 303, visible(joined.text)
    assert await rows(
        engine, "SELECT number FROM urgent_notification JOIN appeal ON appeal.id = appeal_id"
    ) == [(into,), (into,)]
    # The body was called twice by two people: one of both goes on, with the calls of both.
    states = "SELECT state FROM urgent_notification ORDER BY begun_at"
    assert await rows(engine, states) == [("calling",), ("withdrawn",)]
    page = visible((await consultant.get(f"/appeals/{into}")).text)
    assert f"{DUTY}: the call goes on" in page
    await press(consultant, into)
    assert len(controller.orders) == 2
    refused = await press(consultant, call.number)
    assert refused.status_code == 400
    assert "goes on in another one" in visible(refused.text)
    # In the call of the joined appeal the body is called into it.
    await controller.end_call()
    await redis.hset("desk:holders", "2001", "call-1 line-1")
    assert (await press(consultant, into)).status_code == 303
    assert dict(controller.orders[2].detail) == {"to": "102", "urgent": "yes"}


async def test_times_from_the_press_are_figures(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    for state, taken, ended in (
        ("reached", 1, 20),
        ("declined", 3, 40),
        ("taken", 2, None),
        ("taken", 10, None),
        ("calling", None, None),
        ("withdrawn", None, 5),  # nobody was to take it
    ):
        await put(
            engine,
            "INSERT INTO urgent_notification"
            " (id, appeal_id, body, state, begun_at, author, escalated, taken_at, ended_at)"
            " SELECT gen_random_uuid(), id, 'transport', :state, now(), '-', 0,"
            " now() + make_interval(mins => :taken), now() + make_interval(mins => :ended)"
            " FROM appeal",
            state=state,
            taken=taken,
            ended=ended,
        )
    today = datetime.now(ZONE).date().isoformat()
    page = visible((await head.get("/figures", params={"since": today, "until": today})).text)
    assert "10:00 Urgent notifications, taken by a body within" in page
    assert "Median: 2:00 · Begun: 5 · Taken: 4" in page
    assert "40:00 Urgent notifications, the end known within" in page
    assert "Median: 20:00 · Ended: 2" in page
