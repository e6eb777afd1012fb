"""Finding appeals, and the work lists."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.jobs import alert_of_late_work
from callcenter.appeals.record.service import guards_of
from callcenter.appeals.rules.fields import AccessRule
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.search import query
from callcenter.appeals.search.query import SearchFilter
from callcenter.appeals.search.saved_searches import NAME_LENGTH_LIMIT
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.web.browser import form_token, visible
from tests.web.conftest import CALLER, Call, Enter, open_call
from tests.web.test_records import IDENTIFIER, WHOLE, send

CHILD = {"f.affected1.person_kind": "child", "f.affected1.name": "Тимур Оспанов"}


async def found(client: httpx.AsyncClient, question: str, **filters: str) -> list[str]:
    page = await client.get("/search", params={"q": question, **filters})
    if page.status_code == 303:  # a whole number leads to its appeal
        return [page.headers["location"].removeprefix("/appeals/")]
    assert page.status_code == 200
    return re.findall(r'<a href="/appeals/(\d+)" data-row', page.text)


@pytest.fixture
async def saved(head: httpx.AsyncClient, call: Call) -> str:
    answer = await send(head, call.number, version=0, **WHOLE | CHILD | {"f.region": "710000000"})
    assert answer.status_code == 303
    return call.number


@pytest.mark.parametrize(
    "question",
    [
        "алименты",
        "алиментов муж",
        "Seitova",
        "сейтова айгуль",
        "алементы",  # a slip
        "Сеитова",
        IDENTIFIER,
        CALLER,
        "8" + CALLER.removeprefix("+7"),
        "timur",
        "Оспанов",
    ],
)
async def test_an_appeal_is_found(head: httpx.AsyncClient, saved: str, question: str) -> None:
    assert await found(head, question) == [saved]


@pytest.mark.parametrize(
    "question",
    [
        "балалар", "балаға", "жәрдемақыны", "Жәрдемақымен", "күйеу", "жәрдемекы",
        "Кайрат", "Qairat", "Федоров", "Fedorov", "ҚАЙРАТ ФЁДОРОВ",
    ],
)  # fmt: skip
async def test_kazakh_forms_and_name_spellings_are_found(
    head: httpx.AsyncClient, call: Call, question: str
) -> None:
    said = {"f.content": "Күйеуім балаларымды ұрады, жәрдемақы керек"}
    whole = WHOLE | said | {"f.applicant.name": "Қайрат Фёдоров"}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    assert await found(head, question) == [call.number]


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("Әкесі үйден қуды", "аке"),
        ("Әкесі үйден қуды", "акеси уйден"),
        ("Үй жоқ", "уй жок"),
        ("Біз Ақтөбеде тұрамыз", "Актобе"),
        ("Аке уйде жок", "әкесі үйде"),
        ("Отчим живёт в Актобе", "Ақтөбе"),
        ("Әкесі үйден қуды", "уй"),
        ("Әкесі үйден қуды", "үй"),
        ("Үйі жоқ", "уйимизде"),
        ("Ұлымды ұрды", "ул"),
        ("Ул уйге келмеди", "ұлым үйде"),
        ("Акеси уйинен куды", "әке үйді"),
        ("Көмегі керек", "комек"),
        ("Комеги керек", "көмек"),
    ],
)
async def test_free_text_is_found_without_its_kazakh_letters(
    head: httpx.AsyncClient, call: Call, said: str, question: str
) -> None:
    whole = WHOLE | {"f.content": said}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    assert await found(head, question) == [call.number]


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("Ұйымға барды", "үй"),
        ("Уйымға барды", "уй"),
        ("Ұлты қазақ, ұлттық", "ұл"),
        ("Ерте үйленді", "ер үй"),
        ("Үйренді, үйлесті", "үй"),
        ("Не істеді", "іс"),
        ("Подал иск, решение суда", "ис су"),
    ],
)
async def test_short_words_are_not_found_in_others(
    head: httpx.AsyncClient, call: Call, said: str, question: str
) -> None:
    whole = WHOLE | {"f.content": said}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    assert await found(head, question) == []


@pytest.mark.parametrize("question", ["водопровод", "алименты водопровод", "' OR 1=1", "%", "\\"])
async def test_nothing_else_is_found(head: httpx.AsyncClient, saved: str, question: str) -> None:
    assert await found(head, question) == []


async def test_it_is_found_by_its_number_stage_region_and_day(
    head: httpx.AsyncClient, saved: str
) -> None:
    assert await found(head, saved) == [saved]
    assert await found(head, "", stage="contact") == [saved]
    assert await found(head, "", stage="closed") == []
    assert await found(head, "алименты", region="710000000") == [saved]
    assert await found(head, "алименты", region="750000000") == []
    assert await found(head, "", since="2099-01-01") == []


async def test_an_appeal_is_found_by_its_current_state_and_region(
    head: httpx.AsyncClient, saved: str
) -> None:
    again = WHOLE | CHILD | {"f.region": "750000000"}
    assert (await send(head, saved, version=1, **again)).status_code == 303
    assert await found(head, "алименты", region="710000000") == []
    assert await found(head, "алименты", region="750000000") == [saved]
    assert (await send(head, saved, "move", version=2, after="registered")).status_code == 303
    assert await found(head, "алименты", stage="contact") == []
    assert await found(head, "алименты", stage="registered") == [saved]


#: A filter, a value that fits, and one that does not.
FILTERS = {
    "kind": ("complaint", "statement"),
    "channel": ("call", "paper"),
    "direction": ("children", "health_care"),
    "topic": ("family_alimony", "bullying"),
    "region": ("750000000", "710000000"),
    "urgent": ("true", ""),
}


async def test_an_appeal_is_found_by_its_present_content_only(
    head: httpx.AsyncClient, saved: str
) -> None:
    now = {
        "kind": "complaint",
        "f.direction": ["children", "legal"],
        "f.region": "750000000",
        "f.urgency": "urgent",
        "f.danger_reason": "r",
    }
    assert await found(head, "алименты", urgent="true") == []
    assert (await send(head, saved, version=1, **WHOLE | CHILD | now)).status_code == 303
    for words in ("", "алименты", saved):
        for name, (fits, other) in FILTERS.items():
            assert await found(head, words, **{name: fits}) == [saved], (words, name)
            if other:
                assert await found(head, words, **{name: other}) == [], (words, name)
        together = {name: fits for name, (fits, _) in FILTERS.items()}
        assert await found(head, words, **together) == [saved]
    # The topic as a whole has those of its parts.
    assert await found(head, "", topic="family") == [saved]
    await send(head, saved, "move", version=2, after="registered")
    owner = await owner_of(head, saved)
    assert await found(head, "алименты", owner=owner, by_deadline="true") == [saved]
    assert await found(head, "", channel="call", by_deadline="true") == [saved]
    assert await found(head, "", owner="somebody") == []


async def owner_of(client: httpx.AsyncClient, number: str) -> str:
    return str((await client.get(f"/api/v1/appeals/{number}/record")).json()["owner"])


async def test_a_channel_alone_finds_calls_of_which_nobody_has_written(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert await found(head, "", channel="call") == [call.number]
    assert await found(head, "", channel="paper") == []


async def test_an_untouched_call_is_found_as_a_contact(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert await found(head, "", stage="contact") == [call.number]
    assert await found(head, "", stage="contact", channel="call", since="2026-01-01") != []
    for words in (call.number, CALLER):
        assert await found(head, words, stage="contact") == [call.number]
        assert await found(head, words, stage="closed") == []
    assert await found(head, "алименты", stage="contact") == []
    others = FILTERS | {"owner": ("o", ""), "by_deadline": ("true", "")}
    more = {name: fits for name, (fits, _) in others.items() if name != "channel"}
    for name, value in (more | {"channel": "paper", "until": "2020-01-01"}).items():
        assert await found(head, "", stage="contact", **{name: value}) == [], name
    # What was only typed is no record yet; what is saved is one, and once.
    assert (await send(head, call.number, "draft", version=0, **WHOLE)).status_code == 200
    assert await found(head, "", stage="contact") == [call.number]
    assert (await send(head, call.number, version=0, **WHOLE)).status_code == 303
    assert await found(head, "", stage="contact") == [call.number]
    assert (await send(head, call.number, "move", version=1, after="in_work")).status_code == 303
    assert await found(head, "", stage="contact") == []


async def test_contacts_with_and_without_record_share_one_order(
    engine: AsyncEngine, settings: Settings, head: httpx.AsyncClient, call: Call
) -> None:
    now, numbers = datetime.now(UTC), [call.number]
    for hour in range(5, 0, -1):
        _, number = await open_call(engine, f"before-{hour}", now - timedelta(hours=hour))
        if hour % 2:
            assert (await send(head, number, version=0, **WHOLE)).status_code == 303
        numbers.insert(0, number)
    seen, after = list[str](), None
    question, keys = (
        SearchFilter(stages=(AppealState.CONTACT, AppealState.CLOSED)),
        RecordKeys.read(settings),
    )
    async with unit_of_work(engine) as connection:
        for _ in range(3):
            some = await query.find(connection, keys, question, set(), after=after, limit=2)
            after = some[-1].received_at, some[-1].id
            seen += [each.number for each in some]
        assert await query.find(connection, keys, question, set(), after=after) == []
    assert seen == numbers


async def test_what_nothing_is_written_of_is_found_by_its_stage(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert (await send(head, call.number, "move", version=0, after="in_work")).status_code == 303
    assert await found(head, "", stage="in_work") == [call.number]
    _, prank = await open_call(engine, "call-2", datetime.now(UTC))
    assert (
        await send(head, prank, "no-request", version=0, disposition="prank")
    ).status_code == 303
    assert await found(head, "", stage="no_request") == [prank]
    assert await found(head, "", kind="no_request") == [prank]


async def test_who_closes_a_consultation_at_once_answers_for_it(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    helped = {"f.help": "information", "f.decision": "d", "f.decision_reason": "r"}
    async with enter(Role.CONSULTANT) as client:
        whole = WHOLE | helped | {"kind": "consultation"}
        await send(client, call.number, version=0, **whole)
        await send(client, call.number, "move", version=1, after="closed")
        owner = await owner_of(client, call.number)
        assert owner.startswith("consultant-")
        assert await found(client, "", owner=owner) == [call.number]


async def test_a_view_keeps_every_filter(head: httpx.AsyncClient, saved: str) -> None:
    together = {name: fits for name, (fits, _) in FILTERS.items()}
    requested = {"q": "алименты", "stage": "contact", "district": "751110000", "owner": "o"}
    requested |= together | {"since": "2026-01-01", "until": "2026-12-31", "by_deadline": "true"}
    token = await form_token(head, "/search")
    sent = {"form_token": token, "name": "Все"}
    stored = await head.post("/search/views", params=requested, data=sent)
    assert stored.status_code == 303
    [view] = (await head.get("/api/v1/search/views")).json()
    assert dict(parse_qsl(view["query"])) == requested


async def test_a_refused_name_of_a_search_is_shown_again(head: httpx.AsyncClient) -> None:
    head.headers["accept-language"] = "en"
    long = "x" * (NAME_LENGTH_LIMIT + 1)
    sent = {"form_token": await form_token(head, "/search"), "name": long}
    refused = await head.post("/search/views", params={"q": "алименты"}, data=sent)
    assert refused.status_code == 400
    assert "The search was not saved" in visible(refused.text)
    assert f'value="{long}"' in refused.text
    assert 'value="алименты"' in refused.text


#: What each field is found by, and the guard of the field.
FOUND_BY = {
    "алименты": AccessRule.PERSONAL,
    "Seitova": AccessRule.PERSONAL,
    CALLER: AccessRule.PERSONAL,
    IDENTIFIER: AccessRule.SENSITIVE,
    "Тимур": AccessRule.SENSITIVE,
    "Абая": AccessRule.SENSITIVE,
}


@pytest.mark.parametrize("role", Role)
async def test_nobody_finds_by_a_field_hidden_from_the_role(
    head: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, call: Call, role: Role
) -> None:
    whole = WHOLE | CHILD | {"f.applicant.address": "Абая 10", "f.region": "710000000"}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    user = store.User(uuid4(), "somebody", "", role, active=True, created_at=datetime.now(UTC))
    guards = guards_of(Actor(user, "127.0.0.1"))
    keys = RecordKeys.read(settings)
    async with unit_of_work(engine) as connection:
        for requested, guard in FOUND_BY.items():
            hits = await query.find(connection, keys, SearchFilter(requested), guards)
            assert [hit.number for hit in hits] == [call.number] * (guard in guards), requested
        for question in (SearchFilter(call.number), SearchFilter(region="710000000")):
            assert len(await query.find(connection, keys, question, guards)) == 1


async def test_who_sees_no_childrens_names_finds_by_others(
    engine: AsyncEngine, settings: Settings, saved: str
) -> None:
    keys, guards = RecordKeys.read(settings), {AccessRule.OPEN, AccessRule.PERSONAL}
    async with unit_of_work(engine) as connection:
        for requested, guard in FOUND_BY.items():
            hits = await query.find(connection, keys, SearchFilter(requested), guards)
            assert bool(hits) is (guard in guards), requested


async def test_a_childs_name_is_found_but_never_stored_plain(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    assert await found(head, "Тимур") == [saved]
    async with unit_of_work(engine) as connection:
        for table in ("record", "record_search", "search_word", "record_change"):
            everything = str(
                [tuple(row) for row in await connection.execute(text(f"TABLE {table}"))]
            )
            assert "timur" not in everything
            assert "Тимур" not in everything


async def test_what_was_no_request_is_not_found_any_more(
    head: httpx.AsyncClient, saved: str
) -> None:
    assert (
        await send(head, saved, "no-request", version=1, disposition="prank")
    ).status_code == 303
    assert await found(head, "алименты") == []
    assert await found(head, CALLER) == []


async def test_lists_show_what_is_to_be_done(
    head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, settings: Settings, call: Call
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE appeal SET received_at = now()"))
    danger = WHOLE | {"f.danger": "yes"}
    await send(head, call.number, version=0, **danger)
    await send(head, call.number, "move", version=1, after="registered")
    link = f'/appeals/{call.number}" data-row'
    for which, there in (("urgent", True), ("mine", True), ("overdue", False), ("drafts", False)):
        page = await head.get("/work", params={"list": which})
        assert (link in page.text) is there, which
    now, tools = datetime.now(UTC), WorkerResources(settings, engine)
    await alert_of_late_work(tools, redis, now)
    assert await redis.llen("desk:alarms") == 0
    for _ in range(2):  # of each once
        await alert_of_late_work(tools, redis, now + timedelta(days=60))
    assert await redis.hgetall("desk:alarm_counts") in (
        {b"danger_waits": b"1", b"appeal_overdue": b"1"},
        {"danger_waits": "1", "appeal_overdue": "1"},
    )


async def test_a_persons_other_appeals_are_shown_beside_the_record(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    _, again = await open_call(engine, "call-2", datetime.now(UTC))
    assert f'href="/appeals/{saved}" data-row' in (await head.get(f"/appeals/{again}")).text


async def test_calls_that_nobody_wrote_about_wait_on_their_consultants_list(
    enter: Enter, engine: AsyncEngine, call: Call
) -> None:
    async with enter(Role.CONSULTANT) as consultant:
        async with unit_of_work(engine) as connection:
            await connection.execute(
                text(
                    "UPDATE web_user SET consultant_id = (SELECT id FROM consultant LIMIT 1)"
                    " WHERE role = 'consultant'"
                )
            )
            await connection.execute(text("UPDATE appeal SET received_at = now()"))
        page = await consultant.get("/work", params={"list": "unwritten"})
        assert call.number in page.text
