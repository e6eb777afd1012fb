"""Work lists and reminders: what is to be done is on a list, and what is late alerts somebody."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.jobs import alert_of_late_work
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.search import query
from callcenter.consultants.tables import consultant
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.web.browser import visible
from tests.web.callback_factories import owe
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_records import WHOLE, rows, send

TOMORROW = datetime.now(UTC) + timedelta(days=1)
URGENT: dict[str, Any] = {"f.urgency": "urgent", "f.danger_reason": "Ребёнок один на улице"}


async def listed(client: httpx.AsyncClient, which: str) -> list[str]:
    page = (await client.get("/work", params={"list": which})).text
    return [each[:10] for each in page.split('<a href="/appeals/')[1:] if "data-row" in each[:60]]


async def alerts(redis: Redis) -> dict[str, int]:
    """How often each kind was raised, whatever the client decodes."""
    raw = await redis.hgetall("desk:alarm_counts")
    return {
        (kind.decode() if isinstance(kind, bytes) else kind): int(count)
        for kind, count in raw.items()
    }


async def put(engine: AsyncEngine, statement: str, **values: Any) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text(statement), values)


CHANGED = "UPDATE record SET {}, changed_at = now()"
LATE = {
    "answer": ("due_on = current_date - 1", "appeal_overdue"),
    "notice": ("notice_due_on = current_date - 1", "appeal_overdue"),
    "passing on": ("forward_due_on = current_date - 1", "appeal_overdue"),
    "danger": ("""content = '{"danger"\\: "yes"}'""", "danger_waits"),
    "report": ("kind = 'danger'", "danger_waits"),
    "urgent": ("""content = '{"urgency"\\: "urgent"}'""", "danger_waits"),
}


@pytest.mark.parametrize("what", LATE)
@pytest.mark.parametrize("stage", ["contact", "registered", "in_work", "forwarded", "answered"])
async def test_nothing_is_late_without_somebody_alerted(
    settings: Settings, engine: AsyncEngine, redis: Redis, what: str, stage: str
) -> None:
    change, kind = LATE[what]
    appeal_id, _ = await open_call(engine, "call-2", datetime.now(UTC) - timedelta(minutes=20))
    await put(
        engine,
        "INSERT INTO record (appeal_id, version, stage, content, registered_on, changed_at)"
        " VALUES (:id, 1, :stage, '{}', current_date, now())",
        id=appeal_id,
        stage=stage,
    )
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await alert_of_late_work(tools, redis, now)
    assert await alerts(redis) == {}
    await put(engine, CHANGED.format(change))
    for _ in range(2):  # each cause once
        await alert_of_late_work(tools, redis, now)
    assert await alerts(redis) == {kind: 1}


async def test_an_alert_ends_when_its_appeal_is_in_time_again(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    appeal_id, number = await open_call(engine, "call-2", datetime.now(UTC) - timedelta(minutes=20))
    await put(
        engine,
        "INSERT INTO record (appeal_id, version, stage, content, due_on, changed_at)"
        """ VALUES (:id, 1, 'in_work', '{"danger"\\: "yes"}', current_date - 1, now())""",
        id=appeal_id,
    )
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await alert_of_late_work(tools, redis, now)
    assert set(await redis.hkeys(OPEN)) == {f"overdue:{number}", f"urgent:{number}"}
    await put(engine, "UPDATE record SET stage = 'closed'")
    await alert_of_late_work(tools, redis, now)
    # Danger stays until somebody acknowledges it.
    assert await redis.hkeys(OPEN) == [f"urgent:{number}"]


async def test_however_many_are_late_each_alerts(
    settings: Settings, engine: AsyncEngine, redis: Redis
) -> None:
    await put(
        engine,
        "INSERT INTO appeal (id, number, channel, caller_kind, received_at)"
        " SELECT gen_random_uuid(), to_char(n, 'FM0000000000'), 'paper', 'withheld', now()"
        " FROM generate_series(1, 450) AS n",
    )
    await put(
        engine,
        "INSERT INTO record (appeal_id, version, stage, content, due_on, changed_at)"
        " SELECT id, 1, 'in_work', '{}', current_date - 1, now() FROM appeal",
    )
    await alert_of_late_work(WorkerResources(settings, engine), redis, datetime.now(UTC))
    assert await alerts(redis) == {"appeal_overdue": 450}


async def test_an_urgent_appeal_stays_listed_until_passed_on(
    head: httpx.AsyncClient, call: Call
) -> None:
    helped = {"f.help": "information", "f.decision": "d", "f.decision_reason": "r"}
    consultation = {"kind": "consultation", "f.content": "Помогите"}
    unsaid = consultation | helped | {"f.urgency": "urgent"}
    await send(head, call.number, version=0, **unsaid | URGENT)
    assert await listed(head, "urgent") == [call.number]
    refused = await send(head, call.number, "move", version=1, after="closed")
    assert refused.status_code == 400
    await send(head, call.number, "danger", version=1, reason="102, дежурный Омаров")
    assert await listed(head, "urgent") == []
    # Nor before it is said what is urgent.
    await send(head, call.number, version=2, **unsaid)
    assert (await send(head, call.number, "move", version=3, after="closed")).status_code == 400
    await send(head, call.number, version=3, **unsaid | URGENT)
    assert (await send(head, call.number, "move", version=4, after="closed")).status_code == 303


async def test_a_registered_appeal_is_passed_on_within_three_days(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    await send(head, call.number, "move", version=1, after="registered")
    [(forward, due)] = await rows(engine, "SELECT forward_due_on, due_on FROM record")
    assert forward is not None
    assert due is not None
    assert forward < due
    await send(head, call.number, "move", version=2, after="in_work")
    assert await rows(engine, "SELECT forward_due_on, due_on FROM record") == [(None, due)]


async def test_a_reminder_is_its_users_and_alerts_nobody_else(
    settings: Settings, enter: Enter, engine: AsyncEngine, redis: Redis, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as client:
        for wrong in ({"at": "2020-01-01T10:00"}, {"about": " "}, {"at": "2099-01-01T10:00"}):
            values = {"at": f"{TOMORROW:%Y-%m-%dT%H:%M}", "about": "Позвонить Сейтовой"} | wrong
            assert (await send(client, call.number, "remind", **values)).status_code == 400
        values = {"at": f"{TOMORROW:%Y-%m-%dT%H:%M}", "about": "Позвонить Сейтовой"}
        assert (await send(client, call.number, "remind", **values)).status_code == 303
        assert await listed(client, "reminders") == []
        page = (await client.get(f"/appeals/{call.number}")).text
        assert "Позвонить Сейтовой" in page
        assert "Сейтовой" not in str(await rows(engine, "TABLE record_reminder"))
        await put(engine, "UPDATE record_reminder SET due_at = now() - interval '1 minute'")
        assert await listed(client, "reminders") == [call.number]
        await alert_of_late_work(WorkerResources(settings, engine), redis, datetime.now(UTC))
        assert await alerts(redis) == {}
        [(identity,)] = await rows(engine, "SELECT id FROM record_reminder")
        token = page.split('name="form_token" value="')[1][:64]
        done = f"/appeals/{call.number}/reminders/{identity}/done"
        for _ in range(2):
            assert (await client.post(done, data={"form_token": token})).status_code == 303
        assert await listed(client, "reminders") == []
    [(count,)] = await rows(
        engine, "SELECT count(*) FROM audit_entry WHERE action = 'web:reminder:done'"
    )
    assert count == 1


async def test_a_teams_list_has_what_its_consultants_own(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    """Two of a team, and one of another."""
    async with (
        enter(Role.CONSULTANT) as mine,
        enter(Role.CONSULTANT) as colleague,
        enter(Role.CONSULTANT) as stranger,
    ):
        people = await rows(engine, "SELECT name FROM web_user ORDER BY created_at")
        names = [row[0] for row in people]
        for extension, name, team in zip(("1", "2", "3"), names, "aab", strict=True):
            identity = uuid4()
            async with unit_of_work(engine) as connection:
                await connection.execute(
                    insert(consultant).values(
                        id=identity, extension=f"300{extension}", name=name, languages=["kk"],
                        digest="-", team=team,
                    )
                )  # fmt: skip
            linked = "UPDATE web_user SET consultant_id = :id WHERE name = :name"
            await put(engine, linked, id=identity, name=name)
        await send(colleague, call.number, version=0, **WHOLE)
        await send(colleague, call.number, "move", version=1, after="in_work")
        assert await listed(mine, "team") == [call.number]
        assert await listed(mine, "mine") == []
        assert await listed(stranger, "team") == []


async def test_who_is_to_be_called_is_on_a_list(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert await listed(head, "callback") == []
    await owe(engine, call)
    assert await listed(head, "callback") == [call.number]


async def test_a_repeated_contact_is_offered_the_open_appeal(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, again = await open_call(engine, "call-3", datetime.now(UTC))
    await send(head, call.number, version=0, **WHOLE)
    page = (await head.get(f"/appeals/{again}")).text
    assert f'<option value="{call.number}">' in page
    joined = await send(head, again, "join", version=0, into=call.number, reason="Спрашивает")
    assert joined.status_code == 303
    target = (await head.get(f"/appeals/{call.number}")).text
    assert f"Басқа жолданым осы жолданым шеңберінде жалғасады: {again}" in target
    assert f'/appeals/{again}">{again}' in target
    assert f'/appeals/{call.number}">{call.number}' in (await head.get(f"/appeals/{again}")).text


#: What lists show of an appeal to everybody, to who opens records, and to who opens none.
LISTED = {"Stage": "Registered", "Answers for it": "head-"}
OPENED = {"Kind · Topics": "Statement Alimony", "Region": "Astana", "Applicant": "Сейтова Айгүл"}
CLOSED = {"Kind": "Statement", "Caller": "+7 701 *** ** 67"}


def table_of(page: str) -> list[dict[str, str]]:
    """The rows of the table, by the heading of each column."""
    head, *rows_ = [
        [visible(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    ]
    return [dict(zip(head, cells, strict=True)) for cells in rows_]


@pytest.mark.parametrize(
    "role", [role for role in Role if role in AppealPermission.VIEW_APPEALS.granted_to]
)
async def test_lists_show_of_an_appeal_what_the_role_may_see(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call, role: Role
) -> None:
    await send(head, call.number, version=0, **WHOLE | {"f.region": "710000000"})
    await send(head, call.number, "move", version=1, after="registered")
    yesterday = datetime.now(ZONE).date() - timedelta(days=1)
    await put(engine, CHANGED.format("due_on = :day"), day=yesterday)
    opens = role in AppealPermission.EDIT_APPEALS.granted_to
    shown, hidden = (OPENED, CLOSED) if opens else (CLOSED, OPENED)
    async with enter(role) as client:
        client.headers["accept-language"] = "en"
        for path in ("/search?stage=registered", *(["/work?list=overdue"] if opens else [])):
            [row] = table_of((await client.get(path)).text)
            for column, cell in (LISTED | shown).items():
                assert row[column].startswith(cell), path
            assert not row.keys() & hidden.keys(), path
            assert row["Answer due on"] == f"{yesterday:%d.%m.%Y}", path
            assert row["Number, received"].startswith(call.number), path


async def test_a_list_names_no_child(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    child = {"f.applicant.person_kind": "child", "f.applicant.name": "Тимур Оспанов"}
    await send(head, call.number, version=0, **WHOLE | child)
    head.headers["accept-language"] = "en"
    [row] = table_of((await head.get("/search?kind=statement")).text)
    assert row["Applicant"] == "+7 701 *** ** 67"
    async with unit_of_work(engine) as connection:
        [hit] = await connection.execute(query.select_hits())
    assert "Оспанов" not in str(hit)


async def test_an_unknown_work_list_is_not_found(head: httpx.AsyncClient) -> None:
    for path in ("/work?list=ships", "/api/v1/work-lists/ships"):
        assert (await head.get(path)).status_code == 404
