"""The record of an appeal on its pages: saved, taken further, and two people at once."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import NewAppeal
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record.service import guards_of
from callcenter.appeals.rules.fields import AccessRule
from callcenter.appeals.rules.iin import check_digit
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role, permissions_of
from callcenter.platform.identity.store import User
from callcenter.platform.storage.engine import unit_of_work, within
from tests.intake.messages import is_lock_awaited
from tests.polling import until
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter

IDENTIFIER = f"85051430001{check_digit('85051430001')}"
WHOLE: dict[str, Any] = {
    "kind": "statement",
    "f.content": "Муж не платит алименты",
    "f.topics": ["family_alimony"],
    "f.applicant.name": "Сейтова Айгүл",
    "f.applicant.identifier": IDENTIFIER,
}
DECIDED = {"f.decision": "Ответ по закону", "f.decision_reason": "Вопрос простой"}


async def send(
    client: httpx.AsyncClient, number: str, action: str = "", **values: Any
) -> httpx.Response:
    """Fill in a form of the appeal's panel and send it."""
    address = f"/appeals/{number}/record"
    token = await form_token(client, f"/appeals/{number}")
    path = f"{address}/{action}" if action else address
    return await client.post(path, data={"form_token": token, **values})


async def rows(engine: AsyncEngine, query: str) -> list[tuple[Any, ...]]:
    async with unit_of_work(engine) as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_a_record_is_saved_and_what_is_sensitive_is_encrypted(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    assert (await send(head, call.number, version=0, **WHOLE)).status_code == 303
    page = (await head.get(f"/appeals/{call.number}")).text
    for said in ("Муж не платит алименты", "Сейтова Айгүл", IDENTIFIER):
        assert said in page
    [(content, sealed)] = await rows(engine, "SELECT content::text, sealed FROM record")
    changes = await rows(engine, "SELECT differences::text, sealed FROM record_change")
    assert "Сейтова" in str(content)
    for stored in (str(content), *(str(each) for change in changes for each in change)):
        assert IDENTIFIER not in stored
    assert isinstance(sealed, bytes)
    assert IDENTIFIER.encode() not in sealed
    assert len(await rows(engine, "SELECT hash FROM record_identifier")) == 1


async def test_wrong_input_is_explained_beside_it_and_stays(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    wrong = WHOLE | {"f.applicant.identifier": "1" * 12, "f.applicant.age": "old"}
    answer = await send(head, call.number, version=0, **wrong)
    assert answer.status_code == 400
    assert answer.text.count('class="fault"') == 2
    assert "Муж не платит алименты" in answer.text
    assert await rows(engine, "SELECT 1 FROM record") == []


async def test_two_simultaneous_saves_lose_nothing(
    enter: Enter, head: httpx.AsyncClient, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    async with enter(Role.CONSULTANT) as other:
        theirs = WHOLE | {"f.content": "Муж не платит алименты с мая"}
        mine = WHOLE | {"f.content": "Не платит"}
        answers = await asyncio.gather(
            send(head, call.number, version=1, **theirs),
            send(other, call.number, version=1, **mine),
        )
        assert sorted(each.status_code for each in answers) == [303, 409]
        refused = next(each for each in answers if each.status_code == 409)
        # Whoever came second sees both texts, and may save on top of the first one.
        assert "с мая" in refused.text
        assert "Не платит" in refused.text
        assert 'name="version" value="2"' in refused.text
        assert (await send(other, call.number, version=2, **mine)).status_code == 303


async def test_an_appeal_goes_from_registration_and_receipt_to_end(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    assert (await send(head, call.number, "move", version=1, after="registered")).status_code == 303
    [(due, code)] = await rows(engine, "SELECT due_on, receipt_code FROM record")
    assert re.fullmatch(r"[0-9]{4}", str(code))
    receipt = await head.get(f"/appeals/{call.number}/receipt")
    assert f"{due:%d.%m.%Y}" in receipt.text
    assert str(code) in receipt.text
    assert '<html lang="ru">' in receipt.text  # the applicant's language
    again = await send(head, call.number, "move", version=2, after="registered")
    assert again.status_code == 409
    assert (await send(head, call.number, "move", version=2, after="in_work")).status_code == 303
    undecided = await send(head, call.number, "move", version=3, after="answered")
    assert undecided.status_code == 400  # nobody has decided how much help it needs
    await send(head, call.number, version=3, **WHOLE | DECIDED)
    assert (await send(head, call.number, "move", version=4, after="answered")).status_code == 303
    unfit = await send(head, call.number, "move", version=5, after="closed", reason="Всё сказано")
    assert unfit.status_code == 400  # nothing says how it was helped
    assert unfit.text.count('name="reason" value="Всё сказано"') == 1
    await send(head, call.number, version=5, **WHOLE | DECIDED | {"f.help": ["information"]})
    closed = await send(head, call.number, "move", version=6, after="closed")
    assert closed.status_code == 303
    steps = await rows(engine, "SELECT after FROM record_move ORDER BY id")
    assert steps == [("registered",), ("in_work",), ("answered",), ("closed",)]


async def test_an_anonymous_contact_is_not_registered_but_helped_and_closed(
    head: httpx.AsyncClient, call: Call
) -> None:
    anonymous = {"kind": "consultation", "f.content": "Спросила о пособии"}
    helped = {"f.help": "information", "f.decision": "Ответ дан", "f.decision_reason": "Просто"}
    await send(head, call.number, version=0, **anonymous | helped)
    refused = await send(head, call.number, "move", version=1, after="registered")
    assert refused.status_code == 400
    assert (await send(head, call.number, "move", version=1, after="closed")).status_code == 303


async def test_where_there_was_no_request_nothing_personal_is_stored(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    child = {"f.affected1.person_kind": "child", "f.affected1.name": "Тимур Оспанов"}
    danger = {"f.danger": "yes", "f.danger_reason": "Бьёт Сейтову"}
    await send(head, call.number, version=0, **WHOLE | child | danger)
    await send(head, call.number, version=1, **WHOLE | child | danger | {"f.content": "Шутка"})
    await send(head, call.number, "danger", version=2, reason="102, Сейтова ждёт")
    await send(head, call.number, "draft", version=3, **WHOLE)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
    await send(head, call.number, "remind", at=tomorrow, about="Позвонить Сейтовой")
    token = await form_token(head, f"/appeals/{call.number}")
    sent = {"file": ("Паспорт Сейтовой.txt", b"word")}
    path = f"/api/v1/appeals/{call.number}/attachments"
    attached = await head.post(path, files=sent, headers={"X-Form-Token": token})
    assert attached.status_code == 200
    letter = {"direction": "in", "kind": "letter", "party": "applicant", "number": "б/н"}
    letter |= {"whom": "Сейтова", "dated": "2026-11-20", "about": "Алименты Сейтовой"}
    entered = await head.post(
        f"/appeals/{call.number}/letters", data={"form_token": token} | letter
    )
    assert entered.status_code == 303
    assert (
        await send(head, call.number, "no-request", version=3, disposition="prank")
    ).status_code == 303
    names = await rows(
        engine,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " AND table_name !~ 'procrastinate|record_field'",
    )
    everything = str([await rows(engine, f'TABLE "{name}"') for (name,) in names])
    for reported in (
        "Сейтов",
        "seitov",
        "алимент",
        "шутк",
        "Шутка",
        "Оспанов",
        IDENTIFIER,
        "+7701",
    ):
        assert reported not in everything, reported
    for table in ("record_draft", "record_reminder", "record_identifier", "search_word"):
        assert await rows(engine, f"TABLE {table}") == [], table
    assert await rows(engine, "SELECT state, sealed_name FROM record_attachment") == [
        ("erased", None)
    ]
    for table in ("record", "record_letter", "record_letter_change"):
        assert await rows(engine, f"SELECT sealed FROM {table}") == [(None,)], table  # noqa: S608
    assert await rows(engine, "SELECT stage FROM record") == [("no_request",)]


async def test_a_draft_outlives_the_browser_and_is_only_its_authors(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    stored = await send(head, call.number, "draft", version=0, **{"f.content": "набрано, не сохра"})
    assert stored.status_code == 200
    assert "набрано, не сохра" in (await head.get(f"/appeals/{call.number}")).text
    async with enter(Role.CONSULTANT) as other:
        page = (await other.get(f"/appeals/{call.number}")).text
        assert "набрано, не сохра" not in page
    [(sealed,)] = await rows(engine, "SELECT sealed FROM record_draft")
    assert "набрано".encode() not in bytes(sealed)
    await send(head, call.number, version=0, **WHOLE)
    assert await rows(engine, "SELECT 1 FROM record_draft") == []


async def test_a_draft_is_discarded_by_its_author_alone(
    enter: Enter, head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    at = f"/api/v1/appeals/{call.number}/record/draft"
    for by_api in (False, True):
        await send(head, call.number, "draft", version=1, **{"f.content": "набрано зря"})
        assert "набрано зря" in (await head.get(f"/appeals/{call.number}")).text
        async with enter(Role.CONSULTANT) as other:
            assert (await send(other, call.number, "draft/discard")).status_code == 303
        assert len(await rows(engine, "SELECT 1 FROM record_draft")) == 1
        if by_api:
            token = await form_token(head, f"/appeals/{call.number}")
            gone = await head.delete(at, headers={"X-Form-Token": token})
            assert gone.status_code == 204
        else:
            assert (await send(head, call.number, "draft/discard")).status_code == 303
        page = (await head.get(f"/appeals/{call.number}")).text
        assert "набрано зря" not in page
        assert WHOLE["f.content"] in page
        assert "data-discard" not in page  # there is nothing more to discard


async def test_a_term_is_extended_once_with_reason_in_time(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    await send(head, call.number, "move", version=1, after="registered")
    today = datetime.now(UTC).date()
    far = {"until": str(today + timedelta(days=200)), "reason": "Запрошены документы"}
    refused = await send(head, call.number, "extend", version=2, **far)
    assert refused.status_code == 400
    for name, typed in far.items():  # what was typed waits to be put right, in its own form alone
        assert (
            refused.text.count(f'name="{name}" value="{typed}"')
            + refused.text.count(f'name="{name}" type="date" value="{typed}"')
            == 1
        )
    near = far | {"until": str(today + timedelta(days=40))}
    assert (await send(head, call.number, "extend", version=2, **near)).status_code == 303
    [(extended, notice)] = await rows(engine, "SELECT extended, notice_due_on FROM record")
    assert extended is True
    assert notice is not None
    assert (await send(head, call.number, "extend", version=3, **near)).status_code == 400


async def test_an_appeal_is_split_and_the_part_is_joined_again(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE)
    split = await send(head, call.number, "split", version=1, key=["content", "applicant.name"])
    part = split.headers["location"].split("/")[2]
    assert part != call.number
    assert "Сейтова" in (await head.get(f"/appeals/{part}")).text
    joined = await send(head, part, "join", version=2, into=call.number, reason="Одно и то же")
    assert joined.headers["location"] == f"/appeals/{call.number}"
    stages = await rows(engine, "SELECT stage FROM record ORDER BY stage")
    assert stages == [("contact",), ("joined",)]
    # Each tells of the other, with who did what when, in the language of the page.
    for language, words in SPLIT.items():
        head.cookies.set("callcenter_language", language)
        whole = visible((await head.get(f"/appeals/{call.number}")).text)
        gone = visible((await head.get(f"/appeals/{part}")).text)
        for said in words:
            assert f"{said} {part}" in whole
        assert f"{call.number} " in gone
        assert "Одно и то же" in gone
    steps = await rows(engine, "SELECT author, before, after, reason FROM record_move ORDER BY id")
    assert [step[1:] for step in steps] == [
        ("contact", "contact", f"split: {part}"),
        ("contact", "joined", "Одно и то же"),
        ("contact", "contact", f"joined: {part}"),
    ]
    assert all(step[0].startswith("user:head-") for step in steps)


async def test_a_split_takes_its_number_before_it_locks_its_appeal(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    """As the journal of calls does, which opens appeals and then changes others."""
    await send(head, call.number, version=0, **WHOLE)
    opening = NewAppeal(uuid4(), None, "call", "withheld", None, datetime.now(UTC))
    async with asyncio.TaskGroup() as group, unit_of_work(engine) as connection:
        await appeals.open_appeals(within(connection), [opening])
        split = group.create_task(send(head, call.number, "split", version=1, key="content"))
        await until(lambda: is_lock_awaited(engine), "the split waits")
        await appeals.add_urgencies(connection, appeal_id=call.id, urgent=["silent"])
    assert split.result().status_code == 303


#: What an appeal says of its part, and the part of it.
SPLIT = {
    "kk": ["Бір бөлігі жеке жолданым болды:", "Басқа жолданым осы жолданым шеңберінде жалғасады:"],
    "ru": ["Часть стала отдельным обращением:", "В этом обращении продолжается другое:"],
    "en": ["A part of it is an appeal of its own:", "Another appeal goes on in this one:"],
}


@pytest.mark.parametrize("channel", ["portal", "email", "paper", "walk_in", "video", "messenger"])
async def test_an_appeal_that_came_otherwise_is_opened_by_hand(
    head: httpx.AsyncClient, engine: AsyncEngine, channel: str
) -> None:
    token = await form_token(head, "/new-appeal")
    sent = {"form_token": token, "channel": channel, "language": "kk", "phone": "8 701 234 56 78"}
    opened = await head.post("/new-appeal", data=sent | {"received_at": "2026-11-20T10:15"})
    assert opened.status_code == 303
    assert (await head.get(opened.headers["location"])).status_code == 200
    stored = await rows(engine, "SELECT channel, language, caller_number FROM appeal")
    assert stored == [(channel, "kk", "+77012345678")]
    future = await head.post("/new-appeal", data=sent | {"received_at": "2099-01-01T00:00"})
    assert future.status_code == 400


async def test_danger_is_passed_on_whatever_the_stage(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    danger: dict[str, Any] = {
        "kind": "danger",
        "f.danger": ["", "yes"],
        "f.danger_reason": "Бьёт ребёнка",
    }
    await send(head, call.number, version=0, **danger)
    reported = await send(head, call.number, "danger", version=1, reason="102, дежурный Омаров")
    assert reported.status_code == 303
    [(passed,)] = await rows(engine, "SELECT danger_passed_at FROM record")
    assert passed is not None


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
async def test_the_form_is_in_one_language(
    head: httpx.AsyncClient, call: Call, language: str
) -> None:
    head.cookies.set("callcenter_language", language)
    page = visible((await head.get(f"/appeals/{call.number}/panel")).text)
    page = re.sub(r"head-[0-9a-f]+", "", page)  # who is signed in
    cyrillic = re.findall(r"[А-Яа-яЁё]{3,}", page)
    if language == "en":
        assert cyrillic == []
    else:
        latin = set(re.findall(r"[A-Za-z]{4,}", page)) - {"Ctrl", "Enter"}
        assert latin == set()


async def test_a_receipt_is_printed_and_read_out_after_the_answer(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert (await head.get(f"/appeals/{call.number}/receipt.pdf")).status_code == 400
    await send(head, call.number, version=0, **WHOLE | DECIDED)
    await send(head, call.number, "move", version=1, after="registered")
    await send(head, call.number, "move", version=2, after="answered")
    shown = await head.get(f"/appeals/{call.number}/receipt")
    assert "Регистрационный номер: " + " ".join(call.number[:2]) in shown.text
    reported = (await head.get(f"/api/v1/appeals/{call.number}/receipt")).json()
    assert reported["due_on"] is None
    assert reported["spoken"] in shown.text
    made = await head.get(f"/appeals/{call.number}/receipt.pdf")
    assert made.content.startswith(b"%PDF-")
    assert made.headers["content-type"] == "application/pdf"


#: Which guards' fields each role sees, of those that see records at all.
EDITING = (Role.CONSULTANT, Role.SENIOR, Role.RECORDS_OFFICER, Role.HEAD)
SEES = {role: set(AccessRule) for role in EDITING}


@pytest.mark.parametrize("role", Role)
def test_who_sees_which_fields(role: Role) -> None:
    user = User(uuid4(), "somebody", "", role, active=True, created_at=datetime.now(UTC))
    assert guards_of(Actor(user, "127.0.0.1")) == SEES.get(role, {AccessRule.OPEN})


#: Where what is in a record, or comes of it, can be read.
READ_AT = (
    "/appeals/{number}",
    "/appeals/{number}/panel",
    "/api/v1/appeals/{number}",
    "/api/v1/appeals/{number}/record",
    "/api/v1/search?stage=contact",
    "/api/v1/search/export?stage=contact",
    "/api/v1/search/export?stage=contact&personal=true",
    "/search?stage=contact",
    "/search",
    "/api/v1/appeals",
)
SAID_BY_GUARD = {
    AccessRule.OPEN: "Остаться на линии",
    AccessRule.PERSONAL: "Муж не платит алименты",
    AccessRule.SENSITIVE: "Тимур Оспанов",
}


@pytest.mark.parametrize("role", Role)
async def test_each_role_reads_what_field_rules_permit(
    enter: Enter, head: httpx.AsyncClient, call: Call, role: Role
) -> None:
    child = {"f.affected1.person_kind": "child", "f.affected1.name": "Тимур Оспанов"}
    whole = WHOLE | child | {"f.decision": SAID_BY_GUARD[AccessRule.OPEN]}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    read = ""
    async with enter(role) as client:
        for path in READ_AT:
            answer = await client.get(path.format(number=call.number))
            assert answer.status_code in (200, 403), path
            read += answer.text if answer.status_code == 200 else ""
    seen = SEES.get(role, set())  # who may not open records sees no field of them
    assert {guard for guard, said in SAID_BY_GUARD.items() if said in read} == seen
    assert (IDENTIFIER in read) is (AccessRule.SENSITIVE in seen)


@pytest.mark.parametrize("hidden", [AccessRule.PERSONAL, AccessRule.SENSITIVE])
async def test_a_field_is_shown_and_changed_by_its_rule(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    hidden: AccessRule,
) -> None:
    """Who does not see a field neither reads it, nor its history, nor takes it away by saving."""
    await send(head, call.number, version=0, **WHOLE | {"f.region": "710000000"})
    lost = {AppealPermission.SEE_SENSITIVE}
    if hidden is AccessRule.PERSONAL:
        lost.add(AppealPermission.SEE_PERSONAL)
    left = permissions_of(Role.HEAD) - lost
    monkeypatch.setattr(Actor, "may", lambda _, permission: permission in left)
    page = (await head.get(f"/appeals/{call.number}")).text
    assert IDENTIFIER not in page
    assert 'name="f.applicant.identifier"' not in page
    assert ("Сейтова" in page) is (hidden is AccessRule.SENSITIVE)
    assert 'name="f.region"' in page
    stored = {"f.content": WHOLE["f.content"], "f.applicant.name": WHOLE["f.applicant.name"]}
    seen: dict[str, Any] = stored if hidden is AccessRule.SENSITIVE else {}
    saved = await send(head, call.number, version=1, kind="statement", **{"f.region": ""} | seen)
    assert saved.status_code == 303
    monkeypatch.undo()
    page = (await head.get(f"/appeals/{call.number}")).text
    assert IDENTIFIER in page
    assert "Сейтова" in page
