"""Personal data are masked by two people, on request and by rule; what the law keeps stays."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.followup.attachment_scanning import remove_erased
from callcenter.appeals.masking.service import mask_by_rules
from callcenter.appeals.masking.store import find_reasons
from callcenter.appeals.rules.number import make
from callcenter.demands import service
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.store import DemandRow
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings.retention import store as retention
from tests.appeals import read_all_rows
from tests.demands.conftest import OFFICER, demand_form
from tests.web.browser import form_token
from tests.web.callback_factories import owe
from tests.web.conftest import CALLER, Call, Enter, open_call
from tests.web.test_attachments import PDF, attach
from tests.web.test_letters import REQUESTED, enter_letter, letters
from tests.web.test_records import IDENTIFIER, WHOLE, rows, send
from tests.web.test_search import found
from tests.web.test_work_lists import put

SAID = {
    "f.region": "710000000",
    "f.help": "information",
    "f.decision": "Направлена Сейтова в центр",
    "f.decision_reason": "Сейтовой негде жить",
    "f.applicant.address": "Абая 10",
    "f.applicant.sex": "female",
    "f.affected1.person_kind": "child",
    "f.affected1.name": "Тимур Оспанов",
}
#: What tells of somebody; the last is the caller's number.
PERSONAL = ("Сейтов", "seitov", "Тимур", "алимент", "Абая", IDENTIFIER, CALLER)


@pytest.fixture
async def officer(enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(enter(Role.RECORDS_OFFICER))


@pytest.fixture
async def closed(head: httpx.AsyncClient, engine: AsyncEngine, call: Call) -> str:
    """An appeal with all there can be, from its call to its end."""
    number = call.number
    await send(head, number, "draft", version=0, **WHOLE)
    whole = WHOLE | SAID | {"kind": "consultation"}
    assert (await send(head, number, version=0, **whole)).status_code == 303
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
    await send(head, number, "remind", at=tomorrow, about="Позвонить Сейтовой")
    assert (await attach(head, number, "Паспорт Сейтовой.pdf", PDF)).status_code == 200
    reported = REQUESTED | {"whom": "Сейтова Айгүл", "about": "Тимур живёт по адресу Абая 10"}
    assert (await enter_letter(head, number, reported)).status_code == 303
    moved = await send(head, number, "move", version=1, after="closed", reason="Сейтова довольна")
    assert moved.status_code == 303
    await put(
        engine,
        "INSERT INTO outgoing_call (id, appeal_id, ordinal, number, call_id, began_at)"
        " VALUES (gen_random_uuid(), :id, 1, :number, '1.2', now())",
        id=call.id,
        number=CALLER,
    )
    return number


async def ask(client: httpx.AsyncClient, number: str, **values: Any) -> httpx.Response:
    return await send(client, number, "mask", **{"reason": "Заявление № 5"} | values)


async def decide(client: httpx.AsyncClient, engine: AsyncEngine, **values: Any) -> httpx.Response:
    """Decide on what was asked for last."""
    [(identity,)] = await rows(engine, "SELECT id FROM masking ORDER BY asked_at DESC LIMIT 1")
    token = await form_token(client, "/masking")
    sent = {"form_token": token, "approve": "true", "reason": "Закон"} | values
    return await client.post(f"/masking/{identity}/decision", data=sent)


async def test_two_people_mask_a_persons_data_and_no_more(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    settings: Settings,
    closed: str,
) -> None:
    before = await read_all_rows(engine)
    assert all(each in before for each in ("Сейтов", "seitov", CALLER))
    assert (await ask(officer, closed)).status_code == 303
    page = (await head.get("/masking")).text
    assert closed in page
    assert "Заявление № 5" in page
    assert (await decide(officer, engine)).status_code == 400  # who asked does not decide
    assert await found(head, "алименты") == [closed]
    assert (await decide(head, engine)).status_code == 303
    after = await read_all_rows(engine)
    assert [each for each in PERSONAL if each in after] == []
    # What is counted, the number, the days, the steps and the log are there.
    [(content, sealed, stage, kind)] = await rows(
        engine, "SELECT content, sealed, stage, kind FROM record"
    )
    assert content == {
        "region": "710000000",
        "topics": ["family_alimony"],
        "help": ["information"],
        "applicant.sex": "female",
        "affected1.person_kind": "child",
    }
    assert (sealed, stage, kind) == (None, "closed", "consultation")
    assert await rows(engine, "SELECT before, after FROM record_move") == [("contact", "closed")]
    [letter] = await letters(head, closed)
    assert (letter["number"], letter["whom"], letter["about"]) == (REQUESTED["number"], "", "")
    assert await rows(engine, "SELECT sealed FROM record_letter_change") == [(None,)]
    assert await found(head, closed) == [closed]
    assert await found(head, "", region="710000000") == [closed]
    for words in ("алименты", "Сейтова", CALLER, IDENTIFIER, "Тимур"):
        assert await found(head, words) == []
    record = await head.get(f"/appeals/{closed}")
    assert record.status_code == 200
    assert "Сейтов" not in record.text
    actions = await rows(engine, "SELECT action FROM audit_entry WHERE action ~ ':masking:'")
    assert actions == [("web:masking:asked",), ("web:masking:approved",)]
    tools = WorkerResources(settings, engine)
    await remove_erased(tools)
    files = (settings.recordings / "attachments").rglob("*")
    assert [file for file in files if file.is_file()] == []


async def test_refusals_change_nothing_and_requests_need_a_reason(
    head: httpx.AsyncClient, officer: httpx.AsyncClient, engine: AsyncEngine, closed: str
) -> None:
    assert (await ask(officer, closed, reason=" ")).status_code == 400
    assert (await ask(officer, closed)).status_code == 303
    assert (await ask(officer, closed)).status_code == 400  # it waits already
    assert (await decide(head, engine, reason="")).status_code == 400
    assert (await decide(head, engine, approve="false")).status_code == 303
    assert (await decide(head, engine)).status_code == 400  # it is decided
    assert await found(head, "алименты") == [closed]
    assert await rows(engine, "SELECT state FROM masking") == [("refused",)]


async def keep_going(engine: AsyncEngine, call: Call) -> None:
    await put(engine, "UPDATE record SET stage = 'in_work'")


async def keep_target(engine: AsyncEngine, call: Call) -> None:
    """It was joined to another one, which goes on."""
    other, _ = await open_call(engine, "call-9", datetime.now(UTC))
    await put(engine, "UPDATE record SET stage = 'joined', joined_to = :id", id=other)


async def keep_last_target(engine: AsyncEngine, call: Call) -> None:
    """It was joined to another one, and that to one that goes on."""
    other, last = [(await open_call(engine, each, datetime.now(UTC)))[0] for each in ("b", "c")]
    written = (
        "INSERT INTO record (appeal_id, version, stage, content, joined_to, changed_at)"
        " VALUES (:id, 1, :stage, '{}', :joined_to, now())"
    )
    await put(engine, written, id=last, stage="in_work", joined_to=None)
    await put(engine, written, id=other, stage="joined", joined_to=last)
    await put(
        engine,
        "UPDATE record SET stage = 'joined', joined_to = :other WHERE appeal_id = :id",
        other=other,
        id=call.id,
    )


async def keep_held(engine: AsyncEngine, call: Call) -> None:
    async with unit_of_work(engine) as connection:
        await retention.hold(connection, [call.recording], "demand:26-0001")


async def keep_callback(engine: AsyncEngine, call: Call) -> None:
    await owe(engine, call, number=CALLER)


async def demand(engine: AsyncEngine, criteria: SearchCriteria) -> DemandRow:
    """A demand about talks that were not recorded: no hold keeps them beside it."""
    await put(engine, "DELETE FROM recording")
    return await service.register(engine, OFFICER, demand_form(criteria=criteria))


async def keep_demanded(engine: AsyncEngine, call: Call) -> None:
    await demand(engine, SearchCriteria(appeal_number=call.number))


async def keep_demanded_caller(engine: AsyncEngine, call: Call) -> None:
    await demand(engine, SearchCriteria(caller_number=CALLER))


KEEPING = {
    "goes_on": keep_going,
    "joined": keep_target,
    "joined_on": keep_last_target,
    "held": keep_held,
    "owed": keep_callback,
    "demanded": keep_demanded,
    "demanded_caller": keep_demanded_caller,
}


@pytest.mark.parametrize("why", KEEPING)
async def test_legally_retained_data_are_never_masked(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    settings: Settings,
    call: Call,
    closed: str,
    why: str,
) -> None:
    await KEEPING[why](engine, call)
    assert (await ask(officer, closed)).status_code == 303
    assert (await decide(head, engine)).status_code == 400
    assert await rows(engine, "SELECT state FROM masking") == [("asked",)]
    await rule(head, officer, engine, "consultation", 30)
    later = datetime.now(UTC) + timedelta(days=40)
    assert await mask_by_rules(WorkerResources(settings, engine), later) == 0
    assert "Сейтова" in (await head.get(f"/appeals/{closed}")).text


async def test_a_joined_appeal_is_masked_once_the_last_has_ended(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    closed: str,
) -> None:
    await keep_last_target(engine, call)
    assert (await ask(officer, closed)).status_code == 303
    assert (await decide(head, engine)).status_code == 400
    await put(engine, "UPDATE record SET stage = 'closed' WHERE stage = 'in_work'")
    assert (await decide(head, engine)).status_code == 303


@pytest.mark.parametrize("by_caller", [False, True])
async def test_a_demand_keeps_an_appeal_until_it_is_carried_out(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    closed: str,
    by_caller: bool,
) -> None:
    # Of somebody else: it keeps nothing here.
    await demand(
        engine, SearchCriteria(appeal_number=make(26, 999_999), caller_number="+77019999999")
    )
    assert await stored(engine, call) == []
    criteria = (
        SearchCriteria(caller_number=CALLER) if by_caller else SearchCriteria(appeal_number=closed)
    )
    row = await demand(engine, criteria)
    assert await stored(engine, call) == ["demanded"]
    assert (await ask(officer, closed)).status_code == 303
    assert (await decide(head, engine)).status_code == 400
    await service.withdraw(engine, OFFICER, row.number, row.version, "Отозвано")
    assert await stored(engine, call) == []
    assert (await decide(head, engine)).status_code == 303
    assert await rows(engine, "SELECT count(*) FROM masked") == [(1,)]


async def stored(engine: AsyncEngine, call: Call) -> list[str]:
    async with unit_of_work(engine) as connection:
        return await find_reasons(connection, call.id, datetime.now(UTC))


async def rule(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    kind: str,
    days: int,
) -> None:
    token = await form_token(officer, "/masking")
    requested = {"form_token": token, "kind": kind, "days": str(days), "reason": "Приказ № 1"}
    assert (await officer.post("/masking", data=requested)).status_code == 303
    assert (await decide(head, engine)).status_code == 303


async def test_a_rule_is_previewed_decided_by_another_and_run_nightly(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    settings: Settings,
    closed: str,
) -> None:
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await put(engine, "UPDATE record SET changed_at = now() - interval '400 days'")
    officer.cookies.set("callcenter_language", "en")
    for days, count in ((365, 1), (500, 0)):
        shown = await officer.get("/masking", params={"kind": "consultation", "days": days})
        assert f"Would be masked now, appeals: {count}" in shown.text
    assert await rows(engine, "SELECT 1 FROM masking") == []
    token = await form_token(officer, "/masking")
    short = {"form_token": token, "kind": "consultation", "days": "3", "reason": "r"}
    assert (await officer.post("/masking", data=short)).status_code == 400
    assert await mask_by_rules(tools, now) == 0  # there is no rule yet
    await rule(head, officer, engine, "consultation", 500)
    assert await mask_by_rules(tools, now) == 0  # it is not so old
    await rule(head, officer, engine, "consultation", 365)  # in the place of the other
    assert await rows(engine, "SELECT days FROM masking WHERE state = 'approved'") == [(365,)]
    assert await mask_by_rules(tools, now) == 1
    assert await mask_by_rules(tools, now) == 0
    after = await read_all_rows(engine)
    assert [each for each in PERSONAL if each in after] == []
    [(who, detail)] = await rows(
        engine, "SELECT who, detail->>'days' FROM audit_entry WHERE action = 'web:record:masked'"
    )
    assert (who, detail) == ("rule:consultation", "365")


async def test_an_ended_rule_masks_nothing(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    settings: Settings,
    closed: str,
) -> None:
    await rule(head, officer, engine, "consultation", 30)
    [(identity,)] = await rows(engine, "SELECT id FROM masking")
    token = await form_token(officer, "/masking")
    ended = {"form_token": token, "reason": "Спор"}
    assert (await officer.post(f"/masking/{identity}/end", data=ended)).status_code == 303
    later = datetime.now(UTC) + timedelta(days=40)
    assert await mask_by_rules(WorkerResources(settings, engine), later) == 0


async def test_contacts_without_a_record_lose_their_number_by_rule(
    head: httpx.AsyncClient,
    officer: httpx.AsyncClient,
    engine: AsyncEngine,
    settings: Settings,
    call: Call,
    redis: Redis,
) -> None:
    await rule(head, officer, engine, "unwritten", 60)
    tools = WorkerResources(settings, engine)
    assert await mask_by_rules(tools, datetime.now(UTC)) == 0
    later = datetime.now(UTC) + timedelta(days=70)
    assert await mask_by_rules(tools, later) == 1
    assert await rows(engine, "SELECT caller_kind, caller_number, outcome FROM appeal") == [
        ("withheld", None, "talked")
    ]


async def test_the_api_does_the_same(
    head: httpx.AsyncClient, officer: httpx.AsyncClient, closed: str
) -> None:
    sent = {"form_token": await form_token(officer, "/masking"), "reason": "Заявление"}
    made = await officer.post(f"/api/v1/appeals/{closed}/masking", data=sent)
    assert made.status_code == 201
    [waits] = (await head.get("/api/v1/maskings")).json()["waiting"]
    assert waits["preview"]["appeals"] == 1
    assert waits["preview"]["goes"]["files"] == 1
    assert waits["preview"]["recordings"] == 1
    assert "applicant.name" in waits["preview"]["keys"]
    own = await officer.post(
        f"/api/v1/maskings/{made.json()}/decision", data=sent | {"approve": "true"}
    )
    assert own.status_code == 400
    token = await form_token(head, "/masking")
    decided = await head.post(
        f"/api/v1/maskings/{made.json()}/decision",
        data={"form_token": token, "reason": "Закон", "approve": "true"},
    )
    assert decided.status_code == 204
    assert (await head.get("/api/v1/maskings")).json() == {"waiting": [], "rules": []}
