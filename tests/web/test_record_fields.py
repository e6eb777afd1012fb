"""What a record holds: every question of the form, for everybody whom an appeal may be about."""

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.rules.iin import check_digit
from tests.appeals import read_all_rows
from tests.web.conftest import Call
from tests.web.test_record_api import api, authorized, change
from tests.web.test_records import IDENTIFIER, rows, send
from tests.web.test_search import found

assert api  # the fixture, which tests ask for by its name

BIN = f"18054000123{check_digit('18054000123')}"
OF_THE_APPEAL: dict[str, Any] = {
    "content": "Отчим бьёт детей, мать болеет",
    "direction": ["children", "order"],
    "topics": ["violence_physical", "neglect"],
    "help": ["information", "psychological"],
    "region": "710000000",
    "district": "711510000",
    "place": "Двор школы",
    "urgency": "urgent",
    "danger": "yes",
    "danger_reason": "Отчим дома",
    "circumstances": ["disability", "large_family"],
    "decision": "Передать в полицию и в опеку",
    "decision_reason": "Дети в опасности",
    "safety_plan": "Уйти к Жумабековой",
    "risk_self_harm": "no",
    "risk_plan": "no",
    "risk_means": "unknown",
    "risk_before": "no",
    "risk_threat": "yes",
    "risk_trusted": "yes",
}
APPLICANT: dict[str, Any] = {
    "person_kind": "legal_entity",
    "name": "Школа-лицей",
    "identifier": BIN,
    "address": "Кенесары 44",
    "phone": "8 701 234 56 78",
    "email": "school@example.kz",
    "safe_ways": ["call", "email"],
    "language": "kk",
}
PEOPLE: dict[str, dict[str, Any]] = {
    "applicant": APPLICANT,
    "representative": {"person_kind": "individual", "name": "Ким Сауле", "phone": "87010000001"},
    "reporter": {"person_kind": "anonymous", "relation": "teacher", "safe_ways": ["none"]},
    "affected1": {"person_kind": "child", "name": "Тимур Оспанов", "age": "7", "sex": "male"},
    "affected2": {"person_kind": "child", "name": "Жанель Оспанова", "identifier": IDENTIFIER},
    "accused1": {"person_kind": "individual", "name": "Омаров", "relation": "relative"},
}
OF_PEOPLE = {f"{who}.{key}": each for who, held in PEOPLE.items() for key, each in held.items()}
#: What stands in the database for nobody to read, and one word of each by which it is found.
SENSITIVE = {
    BIN: BIN,
    IDENTIFIER: IDENTIFIER,
    "Кенесары": "Кенесары",
    "Тимур": "timur",
    "Жанель": "Жанель",
    "Жумабековой": "Жумабековой",
}


async def test_a_record_holds_every_answer_and_hides_sensitive_ones(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    whole = OF_THE_APPEAL | OF_PEOPLE
    requested = {
        each["code"] for each in (await api.get("/api/v1/fields")).json() if each["active"]
    }
    assert requested == {key.rpartition(".")[2] for key in whole}
    saved = await change(api, call.number, 0, {"kind": "danger", "content": whole})
    assert saved.status_code == 200, saved.text
    read = (await api.get(f"/api/v1/appeals/{call.number}/record")).json()
    assert (read["content"], read["kind"]) == (whole, "danger")
    stored = await read_all_rows(engine)
    assert "Ким Сауле" in stored  # what is read here would be found
    for said in SENSITIVE:
        assert said not in stored
    for said, question in SENSITIVE.items():
        assert await found(api, question) == [call.number], said
    assert len(await rows(engine, "SELECT DISTINCT hash FROM record_identifier")) == 2


@pytest.mark.parametrize("kind", ["consultation", "statement", "complaint", "danger", "status"])
@pytest.mark.parametrize("who", ["individual", "legal_entity", "anonymous", "child"])
async def test_a_contact_of_any_kind_is_recorded_and_closed(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, kind: str, who: str
) -> None:
    helped = {"f.help": "information", "f.decision": "Ответ дан", "f.decision_reason": "Просто"}
    said = {"f.content": "Спросила", "f.applicant.person_kind": who, "kind": kind}
    assert (await send(head, call.number, version=0, **helped | said)).status_code == 303
    if kind == "danger":
        await send(head, call.number, "danger", version=1, reason="102, дежурный Омаров")
    version = 2 if kind == "danger" else 1
    closed = await send(head, call.number, "move", version=version, after="closed")
    assert closed.status_code == 303
    assert await rows(engine, "SELECT kind, stage FROM record") == [(kind, "closed")]


async def test_without_a_request_the_api_accepts_nothing_either(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await authorized(api)
    sent = {"kind": "no_request", "content": {"content": "Шутка Сейтовой"}}
    assert (await change(api, call.number, 0, sent)).status_code == 400
    assert await rows(engine, "SELECT 1 FROM record") == []
    path = f"/api/v1/appeals/{call.number}/record/no-request"
    prank = {"disposition": "prank"}
    assert (await api.post(path, json=prank)).status_code == 428
    assert (await api.post(path, json=prank, headers={"If-Match": '"1"'})).status_code == 412
    assert await rows(engine, "SELECT 1 FROM record") == []
    closed = await api.post(path, json=prank, headers={"If-Match": '"0"'})
    assert (closed.json()["stage"], closed.json()["disposition"]) == ("no_request", "prank")
    assert await rows(engine, "SELECT kind, stage, content::text FROM record") == [
        ("no_request", "no_request", "{}")
    ]
