"""Letters and requests of an appeal: entered, answered, put right, late, and erased."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.errors import AskedWrongly
from callcenter.register.jobs import alarm
from callcenter.register.letters import Direction, Kind, Letter, Party, checked
from callcenter.settings import Settings
from callcenter.storage.jobs import Tools
from callcenter.web.permissions import Role
from callcenter.web.words import ZONE
from callcenter.workdays.calendar import state_calendar
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter
from tests.web.test_attachments import PDF, attach
from tests.web.test_export import of_csv
from tests.web.test_record_api import api
from tests.web.test_records import WHOLE, rows, send
from tests.web.test_search import found as search
from tests.web.test_work_lists import alarms, listed, put

assert api  # the fixture, which tests ask for by its name

TODAY = datetime.now(ZONE).date()
ASKED: dict[str, Any] = {
    "direction": "out",
    "kind": "request",
    "party": "state_body",
    "whom": "Школа № 5, Омаровой",
    "number": "03-2/118",
    "dated": f"{TODAY}",
    "about": "Справка о Тимуре Оспанове",
}
ANSWER = ASKED | {"direction": "in", "kind": "letter", "number": "77-Ө", "about": "Справка дана"}


async def enter_letter(
    client: httpx.AsyncClient, number: str, said: dict[str, Any], path: str = ""
) -> httpx.Response:
    """Fill in the form of the record's page and send it."""
    token = await form_token(client, f"/appeals/{number}/record")
    return await client.post(
        f"/appeals/{number}/letters{path}", data={"form_token": token, "letter": "new"} | said
    )


async def letters(client: httpx.AsyncClient, number: str, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/appeals/{number}/letters", params=asked)
    assert answer.status_code == 200
    return list(answer.json()["letters"])


@pytest.fixture
async def saved(head: httpx.AsyncClient, call: Call) -> str:
    """The number of an appeal whose record is saved, of a consultation that can be closed."""
    helped = {"f.help": "information", "f.decision": "d", "f.decision_reason": "r"}
    whole = WHOLE | helped | {"kind": "consultation"}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    return call.number


async def test_a_letter_is_on_the_page_and_in_the_history_and_what_it_tells_is_encrypted(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    made = await attach(head, saved, "Запрос.pdf", PDF)
    scan = made.json()["id"]
    entered = await enter_letter(head, saved, ASKED | {"scan": scan})
    assert (entered.status_code, entered.headers["location"]) == (
        303,
        f"/appeals/{saved}/record#letters",
    )
    page = (await head.get(f"/appeals/{saved}/record")).text
    for told in ("03-2/118", "Школа № 5, Омаровой", "Справка о Тимуре Оспанове"):
        assert page.count(told) >= 3  # on the list, in its form, in the history
    assert page.count(f'/attachments/{scan}"') == 2  # among the files, and as the scan
    for table in ("record_letter", "record_letter_change"):
        kept = str(await rows(engine, f"TABLE {table}"))
        assert "03-2/118" in kept
        assert "Омаров" not in kept
        assert "Тимур" not in kept
    again = await enter_letter(head, saved, ASKED | {"scan": scan})  # as by a second click
    assert again.status_code == 303
    assert len(await letters(head, saved)) == 1
    noted = "SELECT detail->>'version' FROM audit_entry WHERE action = 'web:letter:kept'"
    assert await rows(engine, noted) == [("1",)]


async def test_an_answer_that_is_late_is_on_the_lists_and_alarms_until_it_is_there(
    head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, settings: Settings, saved: str
) -> None:
    due = state_calendar().working_from(TODAY + timedelta(days=1))
    await enter_letter(head, saved, ASKED | {"answer_due_on": f"{due}"})
    assert await rows(engine, "SELECT letter_due_on FROM record") == [(due,)]
    tools, now = Tools(settings, engine), datetime.now(UTC)
    await alarm(tools, redis, now)
    assert await alarms(redis) == {}
    await put(engine, "UPDATE record SET letter_due_on = :day", day=TODAY)
    assert await listed(head, "today") == [saved]
    assert await listed(head, "overdue") == []
    late = now + (due - TODAY) + timedelta(days=1)
    for _ in range(2):
        await alarm(tools, redis, late)
    assert await alarms(redis) == {"appeal_overdue": 1}
    [asked] = await letters(head, saved)
    assert (await enter_letter(head, saved, ANSWER | {"answers": asked["id"]})).status_code == 303
    assert await rows(engine, "SELECT letter_due_on FROM record") == [(None,)]
    assert await listed(head, "today") == []
    answer, asked = await letters(head, saved)
    assert (asked["answered_by"], answer["answers"]) == (answer["id"], asked["id"])
    head.cookies.set("callcenter_language", "ru")
    page = visible((await head.get(f"/appeals/{saved}/record")).text)
    assert "ответ получен: № 77-Ө" in page
    assert "ответ на № 03-2/118" in page


async def test_an_appeal_that_waits_for_an_answer_does_not_end(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    due = f"{TODAY + timedelta(days=10)}"
    await enter_letter(head, saved, ASKED | {"answer_due_on": due})
    refused = await send(head, saved, "move", version=1, after="closed")
    assert refused.status_code == 400
    [asked] = await letters(head, saved)
    path = f"/{asked['id']}"
    assert (await enter_letter(head, saved, ASKED | {"version": 1}, path)).status_code == 303
    assert (await send(head, saved, "move", version=1, after="closed")).status_code == 303
    # Nor does one that has ended begin to wait; what came is entered all the same.
    again = ASKED | {"version": 2, "answer_due_on": due}
    assert (await enter_letter(head, saved, again, path)).status_code == 400
    assert (await enter_letter(head, saved, ANSWER)).status_code == 303
    assert await rows(engine, "SELECT letter_due_on FROM record") == [(None,)]


async def test_of_closing_and_waiting_at_once_one_is_refused(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, saved: str
) -> None:
    async with enter(Role.CONSULTANT) as other:
        waits = ASKED | {"answer_due_on": f"{TODAY + timedelta(days=10)}"}
        answers = await asyncio.gather(
            send(head, saved, "move", version=1, after="closed"), enter_letter(other, saved, waits)
        )
    assert sorted(each.status_code for each in answers) == [303, 400]
    [(stage, due)] = await rows(engine, "SELECT stage, letter_due_on FROM record")
    assert (stage == "closed") is (due is None)


async def test_two_who_put_a_letter_right_lose_nothing_and_the_second_sees_the_first(
    head: httpx.AsyncClient, enter: Enter, saved: str
) -> None:
    await enter_letter(head, saved, ASKED)
    [kept] = await letters(head, saved)
    path, own = f"/{kept['id']}", {"letter": kept["id"], "version": 1}
    async with enter(Role.CONSULTANT) as other:
        answers = await asyncio.gather(
            enter_letter(head, saved, ASKED | own | {"number": "03-2/119"}, path),
            enter_letter(other, saved, ASKED | own | {"whom": "Школа № 6"}, path),
        )
        assert sorted(each.status_code for each in answers) == [303, 409]
        second, refused = next(
            (client, each)
            for client, each in zip((head, other), answers, strict=True)
            if each.status_code == 409
        )
        theirs, mine = ("03-2/119", "Школа № 6")[:: 1 if second is other else -1]
        assert f"<ins>{theirs}</ins>" in refused.text
        assert f'value="{mine}"' in refused.text
        assert 'name="version" value="2"' in refused.text
        on_top = ASKED | own | {"version": 2, "number": "03-2/119", "whom": "Школа № 6"}
        assert (await enter_letter(second, saved, on_top, path)).status_code == 303
    [now] = await letters(head, saved)
    assert (now["version"], now["number"], now["whom"]) == (3, "03-2/119", "Школа № 6")
    history = (await head.get(f"/api/v1/appeals/{saved}/record")).json()["history"]
    changed = [set(each["changes"]) for each in history if each["letter"] == kept["id"]]
    assert [len(each) for each in changed[:2]] == [1, 1]
    assert changed[2] == set(ASKED)


WRONG = (
    {"number": " "},
    {"whom": "a\nb"},
    {"about": "x" * 2001},
    {"dated": f"{TODAY + timedelta(days=2)}"},
    {"dated": "1999-12-31"},
    {"answer_due_on": f"{TODAY - timedelta(days=30)}"},
    {"answer_due_on": "2199-01-01"},
    {"answers": "00000000-0000-4000-8000-000000000000"},
    {"scan": "00000000-0000-4000-8000-000000000000"},
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
async def test_what_is_wrong_is_said_and_what_was_typed_stays(
    head: httpx.AsyncClient, saved: str, wrong: dict[str, str]
) -> None:
    refused = await enter_letter(head, saved, ASKED | wrong)
    assert refused.status_code == 400
    if "x" not in str(wrong):  # as long as that comes from no browser
        assert "Справка о Тимуре" in refused.text
    assert await letters(head, saved) == []


async def test_a_letter_answers_one_that_went_the_other_way(
    head: httpx.AsyncClient, saved: str
) -> None:
    await enter_letter(head, saved, ASKED)
    [asked] = await letters(head, saved)
    same = ASKED | {"number": "2", "answers": asked["id"]}
    assert (await enter_letter(head, saved, same)).status_code == 400
    await enter_letter(head, saved, ANSWER | {"answers": asked["id"]})
    turned = ASKED | {"direction": "in", "version": 1, "letter": asked["id"]}
    assert (await enter_letter(head, saved, turned, f"/{asked['id']}")).status_code == 400


async def test_nothing_is_entered_before_the_record_is_saved(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert (await enter_letter(head, call.number, ASKED)).status_code == 400


async def test_an_answer_is_wanted_until_a_working_day() -> None:
    sent = date(2026, 11, 20)
    letter = Letter(
        Direction.OUT, Kind.REQUEST, Party.OTHER, "1", sent, "w", "a", date(2026, 11, 28)
    )
    kept = checked(letter, date(2026, 11, 24), state_calendar())
    assert kept.answer_due_on == date(2026, 11, 30)  # the 28th is a Saturday
    with pytest.raises(AskedWrongly):
        checked(letter, date(2026, 11, 19), state_calendar())


async def test_the_api_enters_reads_and_changes_letters(
    api: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    path = f"/api/v1/appeals/{saved}/letters"
    key = {"Idempotency-Key": "letter"}
    asked = ASKED | {"answer_due_on": f"{TODAY + timedelta(days=10)}"}
    made = [await api.post(path, json=asked, headers=key) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert "Тимур" not in str(await rows(engine, "TABLE answered_request"))
    identity = made[0].json()["id"]
    assert (await api.put(f"{path}/{identity}", json=ASKED)).status_code == 428
    right = {"If-Match": '"1"'}
    changed = await api.put(f"{path}/{identity}", json=ASKED, headers=right)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    late = await api.put(f"{path}/{identity}", json=ASKED | {"number": "1"}, headers=right)
    assert late.status_code == 412
    told = late.json()
    assert (told["version"], list(told["theirs"]), told["both"]) == (2, ["answer_due_on"], [])
    unknown = f"{path}/00000000-0000-4000-8000-000000000000"
    assert (await api.put(unknown, json=ASKED, headers=right)).status_code == 404
    for number in range(4):
        answer = ANSWER | {"number": str(number), "answers": identity}
        assert (await api.post(path, json=answer)).status_code == 201
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get(path, params={"limit": 2, "cursor": cursor})).json()
        seen += [each["number"] for each in page["letters"]]
        cursor = page["next"]
    assert seen == ["3", "2", "1", "0", "03-2/118"]
    assert (await letters(api, saved))[-1]["answered_by"] == (await letters(api, saved))[3]["id"]
    assert (await api.get(path, params={"cursor": "x"})).status_code == 400
    standing = (await api.get(f"/api/v1/appeals/{saved}/record")).json()
    assert standing["letter_due_on"] is None


async def test_a_letter_of_another_appeal_is_none_of_this_one(
    api: httpx.AsyncClient, saved: str
) -> None:
    await enter_letter(api, saved, ASKED)
    [kept] = await letters(api, saved)
    new = {"channel": "paper", "language": "ru", "received_at": "2026-11-20T10:15:00+05:00"}
    other = (await api.post("/api/v1/appeals", json=new)).json()["number"]
    path = f"/api/v1/appeals/{other}/letters"
    moved = await api.put(f"{path}/{kept['id']}", json=ASKED, headers={"If-Match": '"1"'})
    assert moved.status_code == 404
    answer = ANSWER | {"answers": kept["id"]}
    assert (await api.post(path, json=answer)).status_code == 400


async def test_letters_are_in_a_file_with_personal_data_alone(
    head: httpx.AsyncClient, saved: str
) -> None:
    await enter_letter(head, saved, ASKED)
    head.headers["accept-language"] = "ru"
    for personal in (False, True):
        asked = {"stage": "contact", "personal": str(personal).lower()}
        answer = await head.get("/api/v1/search/export", params=asked)
        [row] = of_csv(answer)
        assert ("Письма и запросы" in row) is personal
    assert row["Письма и запросы"] == (
        f"Запрос, Исходящее, № 03-2/118, {TODAY:%d.%m.%Y}, Государственный орган: "
        "Школа № 5, Омаровой, Справка о Тимуре Оспанове"
    )


async def test_an_appeal_is_found_by_its_letters_as_they_are_now(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    await enter_letter(head, saved, ASKED)
    for asked in ("03-2/118", "справки", "школы Омаровой", "омаровой алименты"):
        assert await search(head, asked) == [saved], asked
    for table in ("record_search", "search_word"):
        assert "омаров" not in str(await rows(engine, f"TABLE {table}")).casefold()
        assert "omarov" not in str(await rows(engine, f"TABLE {table}"))
    # Saving the record does not forget them.
    helped = {"f.help": "information", "f.content": "Муж уехал"}
    assert (await send(head, saved, version=1, **WHOLE | helped)).status_code == 303
    assert await search(head, "уехал справки") == [saved]
    [kept] = await letters(head, saved)
    right = ASKED | {"version": 1, "about": "Характеристика"}
    await enter_letter(head, saved, right, f"/{kept['id']}")
    assert await search(head, "справки") == []
    assert await search(head, "характеристику") == [saved]


async def test_who_does_not_see_personal_data_sees_no_letters(
    head: httpx.AsyncClient, enter: Enter, saved: str
) -> None:
    await enter_letter(head, saved, ASKED)
    for role in (Role.AUDITOR, Role.ADMINISTRATOR, Role.STATE_BODY):
        async with enter(role) as client:
            answer = await client.get(f"/api/v1/appeals/{saved}/letters")
            assert answer.status_code == 403
