"""Records by the API: changed from the version that was read, and repeated requests done once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity import answered_requests
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_records import IDENTIFIER, WHOLE

CONTENT = {key.removeprefix("f."): value for key, value in WHOLE.items() if key != "kind"}
STATEMENT: dict[str, Any] = {"kind": "statement", "content": CONTENT}
NEW = {"channel": "portal", "language": "kk", "received_at": "2026-11-20T10:15:00+05:00"}


@pytest.fixture
async def api(head: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of the head, which sends what every change needs."""
    return await authorized(head)


async def authorized(client: httpx.AsyncClient) -> httpx.AsyncClient:
    session = (await client.get("/api/v1/session")).json()
    client.headers["X-Form-Token"] = session["form_token"]
    return client


async def change(
    client: httpx.AsyncClient, number: str, version: int | str, sent: object, action: str = ""
) -> httpx.Response:
    """Change a record (or do something else with it) from the version that was seen."""
    path = f"/api/v1/appeals/{number}/record"
    return await client.request(
        "POST" if action else "PATCH",
        f"{path}/{action}" if action else path,
        json=sent,
        headers={"If-Match": f'"{version}"'},
    )


async def count(engine: AsyncEngine, table: str) -> int:
    async with unit_of_work(engine) as connection:
        found = await connection.execute(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
        return int(found.scalar_one())


async def test_an_appeal_is_opened_filled_in_registered_and_split(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    opened = await api.post("/api/v1/appeals", json=NEW | {"phone": "8 701 234 56 78"})
    assert opened.status_code == 201
    number = opened.json()["number"]
    saved = await change(api, number, 1, STATEMENT)
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    read = await api.get(opened.headers["location"])
    assert read.headers["etag"] == '"2"'
    assert read.json()["content"]["applicant.identifier"] == IDENTIFIER
    assert "registered" in read.json()["moves"]
    registered = await change(api, number, 2, {"after": "registered"}, "moves")
    assert registered.json()["stage"] == "registered"
    assert registered.json()["due_on"]
    receipt = (await api.get(f"/api/v1/appeals/{number}/receipt")).json()
    assert receipt["code"] in receipt["sms"]
    part = await change(api, number, 3, {"keys": ["content"]}, "parts")
    assert part.status_code == 201
    joined = await change(
        api, part.json()["number"], 2, {"into": number, "reason": "Одно и то же"}, "join"
    )
    assert joined.json()["stage"] == "joined"
    twice = await change(api, number, 3, {"keys": ["content"]}, "parts")
    assert twice.status_code == 412  # no second part by the same request
    danger = await change(api, number, 4, {"whom": "102, Омаров"}, "danger-passed-on")
    assert danger.json()["danger_passed_at"]
    far = await change(api, number, 5, {"until": "2099-01-01", "reason": "r"}, "extension")
    assert far.status_code == 400
    history = (await api.get(opened.headers["location"])).json()["history"]
    assert history[-1]["changes"]["content"] == {"before": None, "after": CONTENT["content"]}


async def test_what_stands_beside_a_record_is_in_the_api_too(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    """Its parts, what is joined to it, reminders, what is alike, the receipt on paper."""
    path = f"/api/v1/appeals/{call.number}"
    await change(api, call.number, 0, STATEMENT)
    part = (await change(api, call.number, 1, {"keys": ["content"]}, "parts")).json()["number"]
    again = (await api.post("/api/v1/appeals", json=NEW)).json()["number"]
    await change(api, again, 1, {"into": call.number, "reason": "r"}, "join")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    requested = {"at": tomorrow, "about": "Позвонить"}
    key = {"Idempotency-Key": "remind"}
    made = [await api.post(f"{path}/reminders", json=requested, headers=key) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json() == made[1].json()
    record = (await api.get(f"{path}/record")).json()
    assert (record["parts"], record["joined"], record["part_of"]) == ([part], [again], None)
    assert [each["about"] for each in record["reminders"]] == ["Позвонить"]
    assert (await api.get(f"/api/v1/appeals/{part}/record")).json()["part_of"] == call.number
    assert (await api.get(f"/api/v1/appeals/{again}/record")).json()["joined_to"] == call.number
    done = f"{path}/reminders/{made[0].json()['id']}/done"
    assert [(await api.post(done)).status_code for _ in range(2)] == [204, 204]
    assert (await api.get(f"{path}/record")).json()["reminders"] == []
    for wrong in ({"at": "2020-01-01T00:00:00Z"}, {"about": " "}, {"at": "2026-11-20T10:15:00"}):
        assert (await api.post(f"{path}/reminders", json=requested | wrong)).status_code == 400, (
            wrong
        )
    typed = {"content": {"applicant.identifier": IDENTIFIER, "content": ["?"]}}
    existing = (await api.post(f"/api/v1/appeals/{part}/record/similar", json=typed)).json()
    assert [each["number"] for each in existing["same"]] == [call.number]
    assert (await api.get(f"{path}/receipt.pdf")).status_code == 400  # it is not registered
    await change(api, call.number, 2, {"after": "registered"}, "moves")
    printed = await api.get(f"{path}/receipt.pdf")
    assert (printed.headers["content-type"], printed.content[:5]) == ("application/pdf", b"%PDF-")
    position = (await api.get(f"{path}/record")).json()
    assert position["forward_due_on"] <= position["due_on"]


async def test_the_second_editor_sees_changes_and_may_save_over(
    enter: Enter, api: httpx.AsyncClient, call: Call
) -> None:
    await change(api, call.number, 0, STATEMENT)
    async with enter(Role.CONSULTANT) as client:
        other = await authorized(client)
        theirs = {"content": {"content": "Не платит с мая", "applicant.name": "Сейтова А."}}
        mine = {"content": {"content": "Не платит", "topics": None}}
        assert (await change(other, call.number, 1, theirs)).status_code == 200
        refused = await change(api, call.number, 1, mine)
        assert refused.status_code == 412
        assert refused.headers["content-type"] == "application/problem+json"
        reported = refused.json()
        assert reported["version"] == 2
        assert reported["theirs"]["applicant.name"]["after"] == "Сейтова А."
        assert reported["both"] == ["content"]
    assert (await change(api, call.number, reported["version"], mine)).status_code == 200
    record = (await api.get(f"/api/v1/appeals/{call.number}/record")).json()
    # What was not sent is as the other left it; what was sent as null is gone.
    assert record["content"]["applicant.name"] == "Сейтова А."
    assert record["content"]["content"] == "Не платит"
    assert "topics" not in record["content"]
    assert record["kind"] == "statement"


async def test_a_change_says_which_version_it_is_made_from(
    api: httpx.AsyncClient, call: Call
) -> None:
    path = f"/api/v1/appeals/{call.number}/record"
    assert (await api.patch(path, json=STATEMENT)).status_code == 428
    for wrong in ("*", "W/1", '"-1"', '"1", "2"', '"99999999999"', "٣"):
        headers = {b"If-Match": wrong.encode()}
        answer = await api.patch(path, json=STATEMENT, headers=headers)
        assert answer.status_code == 400, wrong


async def test_what_is_wrong_is_reported_by_field(api: httpx.AsyncClient, call: Call) -> None:
    wrong = {"content": {"applicant.identifier": "1" * 12, "nothing": "x"}}
    faults = (await change(api, call.number, 0, wrong)).json()["faults"]
    assert set(faults) == {"applicant.identifier", "nothing"}
    lacking = await change(api, call.number, 0, {"after": "registered"}, "moves")
    assert lacking.status_code == 400
    assert len(lacking.json()["missing"]) == 3
    illegal = await change(api, call.number, 0, {"after": "answered"}, "moves")
    assert (illegal.status_code, illegal.json()["title"]) == (409, "Conflict")
    unknown = await change(api, "2600000000", 0, STATEMENT)
    assert unknown.status_code == 404
    shape = await change(api, call.number, 0, {"content": {"content": 7}})
    assert shape.status_code == 400
    assert all(where.startswith("body.content") for where in shape.json()["faults"])


async def test_a_draft_is_stored_and_only_its_author_sees_it(
    enter: Enter, api: httpx.AsyncClient, call: Call
) -> None:
    path = f"/api/v1/appeals/{call.number}/record"
    draft = {"version": 0, "content": {"content": "набрано, не сохра"}}
    assert (await api.put(f"{path}/draft", json=draft)).status_code == 200
    assert (await api.get(path)).json()["draft"]["content"] == draft["content"]
    async with enter(Role.CONSULTANT) as other:
        assert (await other.get(path)).json()["draft"] is None


async def test_a_repeated_request_is_carried_out_once(
    api: httpx.AsyncClient, engine: AsyncEngine, enter: Enter
) -> None:
    key = {"Idempotency-Key": "6f1f7a9e"}
    answers = [await api.post("/api/v1/appeals", json=NEW, headers=key) for _ in range(3)]
    assert {each.status_code for each in answers} == {201}
    assert len({each.text for each in answers}) == 1
    assert len({each.headers["location"] for each in answers}) == 1
    assert await count(engine, "appeal") == 1
    other = await api.post("/api/v1/appeals", json=NEW | {"language": "ru"}, headers=key)
    assert other.status_code == 422
    async with enter(Role.CONSULTANT) as client:  # somebody else's key is another
        assert (
            await (await authorized(client)).post("/api/v1/appeals", json=NEW, headers=key)
        ).status_code == 201
    assert await count(engine, "appeal") == 2
    # A day later it is a new request.
    async with unit_of_work(engine) as connection:
        await connection.execute(text("UPDATE answered_request SET at = at - interval '25 hours'"))
    assert (await api.post("/api/v1/appeals", json=NEW, headers=key)).status_code == 201
    assert await count(engine, "appeal") == 3
    async with unit_of_work(engine) as connection:
        await answered_requests.delete_expired(connection)
    assert await count(engine, "answered_request") == 1


async def test_a_request_repeated_concurrently_is_carried_out_once(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    key = {"Idempotency-Key": "at-once"}
    answers = await asyncio.gather(
        *(api.post("/api/v1/appeals", json=NEW, headers=key) for _ in range(4))
    )
    assert len({each.text for each in answers}) == 1
    assert await count(engine, "appeal") == 1


async def test_a_refused_request_did_nothing_and_may_be_sent_again(
    api: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    path = f"/api/v1/appeals/{call.number}/record/moves"
    headers = {"Idempotency-Key": "k", "If-Match": '"1"'}
    move = {"after": "registered"}
    assert (await api.post(path, json=move, headers=headers)).status_code == 412
    assert await count(engine, "answered_request") == 0
    await change(api, call.number, 0, STATEMENT)
    for _ in range(2):
        answer = await api.post(path, json=move, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    async with unit_of_work(engine) as connection:
        stored = str(
            [tuple(row) for row in await connection.execute(text("TABLE answered_request"))]
        )
    assert "алименты" not in stored


async def test_without_a_form_token_nothing_is_changed(head: httpx.AsyncClient) -> None:
    assert (await head.post("/api/v1/appeals", json=NEW)).status_code == 403
    wrong = {"X-Form-Token": "0" * 64}
    assert (await head.post("/api/v1/appeals", json=NEW, headers=wrong)).status_code == 403


async def test_too_large_a_body_and_broken_json_are_refused(
    api: httpx.AsyncClient, call: Call
) -> None:
    large = {"content": {"content": "x" * 300_000}}
    assert (await change(api, call.number, 0, large)).status_code == 413
    path = f"/api/v1/appeals/{call.number}/record"
    for body in (b"{", b"\xff\xfe", b"[]", b'{"content": {"content": "\\ud800"}}', b"null", b""):
        headers = {"If-Match": '"0"', "Content-Type": "application/json"}
        answer = await api.patch(path, content=body, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (400, 400), body


async def test_lists_go_on_by_cursors_and_meet_every_appeal_once(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    received = datetime(2026, 11, 20, tzinfo=UTC)
    numbers = [(await open_call(engine, f"call-{n}", received))[1] for n in range(5)]
    for number in numbers:
        await change(api, number, 0, STATEMENT)
    for number in numbers[:3]:
        await change(api, number, 1, {"after": "registered"}, "moves")
    for path, requested, expected in (
        ("/api/v1/search", {"q": "алименты"}, numbers),
        ("/api/v1/search", {"stage": "contact"}, numbers[3:]),
        ("/api/v1/search", {"q": "алименты", "by_deadline": "true"}, numbers[:3]),
        ("/api/v1/work-lists/mine", {}, numbers[:3]),
    ):
        seen: list[str] = []
        cursor = ""
        while True:
            requested = requested | {"limit": "2", "cursor": cursor}
            page = (await api.get(path, params=requested)).json()
            assert len(page["appeals"]) <= 2
            seen += [each["number"] for each in page["appeals"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(expected), path
    for path in ("/api/v1/search?q=x&cursor=x", "/api/v1/work-lists/mine?cursor=" + "_" * 40):
        assert (await api.get(path)).status_code == 400


async def test_fields_and_terms_are_edited_from_the_read_version(
    api: httpx.AsyncClient,
) -> None:
    names = {"kk": "Сурақ", "ru": "Вопрос", "en": "Question"}
    field = names | {
        "section": "appeal",
        "code": "asked",
        "type": "choice",
        "guard": "open",
        "position": 5,
        "options": [names | {"code": "one"}],
    }
    assert (await api.post("/api/v1/fields", json=field)).status_code == 201
    assert (await api.post("/api/v1/fields", json=field)).status_code == 400
    path = "/api/v1/fields/appeal/asked"
    read = await api.get(path)
    assert read.json()["options"][0]["code"] == "one"
    changed = {key: read.json()[key] for key in ("guard", "kk", "ru", "position", "options")}
    changed["en"] = "Another"
    headers = {"If-Match": read.headers["etag"]}
    assert (await api.put(path, json=changed, headers=headers)).json() == {"version": 2}
    assert (await api.put(path, json=changed, headers=headers)).status_code == 412
    left_out = changed | {"options": []}
    headers = {"If-Match": '"2"'}
    assert (await api.put(path, json=left_out, headers=headers)).status_code == 400
    term = {"clock": "decide", "length": 10, "unit": "working_days", "article": "76(2)"}
    for status in (201, 400):  # a second one from the same day
        sent = term | {"valid_from": "2030-01-01"}
        assert (await api.post("/api/v1/terms", json=sent)).status_code == status
    newest = (await api.get("/api/v1/terms")).json()[0]
    assert (newest["valid_from"], newest["length"]) == ("2030-01-01", 10)


async def test_every_operation_tells_its_permission_and_its_errors(api: httpx.AsyncClient) -> None:
    described = (await api.get("/api/openapi.json")).json()
    operations = [each for path in described["paths"].values() for each in path.values()]
    for operation in operations:
        assert operation["x-permission"] in operation["description"]
        assert operation["security"]
        assert {"400", "401", "403", "503"} <= set(operation["responses"])
        assert "HTTPValidationError" not in str(operation)
    changing = described["paths"]["/api/v1/appeals/{number}/record"]["patch"]
    assert {"404", "409", "412", "413", "422", "428"} <= set(changing["responses"])
    assert described["paths"]["/api/v1/status"]["post"]["security"] == [{"machine": []}]
