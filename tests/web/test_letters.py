"""Letters and requests of an appeal: entered, answered, put right, late, and erased."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.jobs import alert_of_late_work
from callcenter.appeals.rules.letters import (
    Direction,
    Letter,
    LetterKind,
    LetterParty,
    normalize_letter,
)
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.jobs import WorkerResources
from tests.calendars import PACKAGED
from tests.web.browser import form_token, visible
from tests.web.conftest import Call, Enter
from tests.web.test_attachments import PDF, attach
from tests.web.test_export import of_csv
from tests.web.test_record_api import api
from tests.web.test_records import WHOLE, rows, send
from tests.web.test_search import found as search
from tests.web.test_work_lists import alerts, listed, put

assert api  # the fixture, which tests ask for by its name


def today() -> date:
    """The day in Almaty: that on which tests were collected may be over."""
    return datetime.now(ZONE).date()


REQUESTED: dict[str, Any] = {
    "direction": "out",
    "kind": "request",
    "party": "state_body",
    "whom": "Школа № 5, Омаровой",
    "number": "03-2/118",
    "dated": f"{today()}",
    "about": "Справка о Тимуре Оспанове",
}
ANSWER = REQUESTED | {
    "direction": "in",
    "kind": "letter",
    "number": "77-Ө",
    "about": "Справка дана",
}


async def enter_letter(
    client: httpx.AsyncClient, number: str, said: dict[str, Any], path: str = ""
) -> httpx.Response:
    """Fill in the form of the record's page and send it."""
    token = await form_token(client, f"/appeals/{number}")
    return await client.post(
        f"/appeals/{number}/letters{path}", data={"form_token": token, "letter": "new"} | said
    )


async def letters(client: httpx.AsyncClient, number: str, **requested: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/appeals/{number}/letters", params=requested)
    assert answer.status_code == 200
    return list(answer.json()["letters"])


@pytest.fixture
async def saved(head: httpx.AsyncClient, call: Call) -> str:
    """The number of an appeal whose record is saved, of a consultation that can be closed."""
    helped = {"f.help": "information", "f.decision": "d", "f.decision_reason": "r"}
    whole = WHOLE | helped | {"kind": "consultation"}
    assert (await send(head, call.number, version=0, **whole)).status_code == 303
    return call.number


async def test_a_letter_is_shown_in_history_and_stored_encrypted(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    made = await attach(head, saved, "Запрос.pdf", PDF)
    scan = made.json()["id"]
    entered = await enter_letter(head, saved, REQUESTED | {"scan": scan})
    assert (entered.status_code, entered.headers["location"]) == (
        303,
        f"/appeals/{saved}#letters",
    )
    page = (await head.get(f"/appeals/{saved}")).text
    for reported in ("03-2/118", "Школа № 5, Омаровой", "Справка о Тимуре Оспанове"):
        assert page.count(reported) >= 3  # on the list, in its form, in the history
    assert page.count(f'/attachments/{scan}"') == 2  # among the files, and as the scan
    for table in ("record_letter", "record_letter_change"):
        stored = str(await rows(engine, f"TABLE {table}"))
        assert "03-2/118" in stored
        assert "Омаров" not in stored
        assert "Тимур" not in stored
    again = await enter_letter(head, saved, REQUESTED | {"scan": scan})  # as by a second click
    assert again.status_code == 303
    assert len(await letters(head, saved)) == 1
    noted = "SELECT detail->>'version' FROM audit_entry WHERE action = 'web:letter:kept'"
    assert await rows(engine, noted) == [("1",)]


async def test_a_late_answer_is_listed_and_alerts_until_it_arrives(
    head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, settings: Settings, saved: str
) -> None:
    this_day = today()
    due = PACKAGED.working_from(this_day + timedelta(days=1))
    await enter_letter(head, saved, REQUESTED | {"answer_due_on": f"{due}"})
    assert await rows(engine, "SELECT letter_due_on FROM record") == [(due,)]
    tools, now = WorkerResources(settings, engine), datetime.now(UTC)
    await alert_of_late_work(tools, redis, now)
    assert await alerts(redis) == {}
    await put(engine, "UPDATE record SET letter_due_on = :day", day=this_day)
    assert await listed(head, "today") == [saved]
    assert await listed(head, "overdue") == []
    late = now + (due - this_day) + timedelta(days=1)
    for _ in range(2):
        await alert_of_late_work(tools, redis, late)
    assert await alerts(redis) == {"appeal_overdue": 1}
    [requested] = await letters(head, saved)
    assert (
        await enter_letter(head, saved, ANSWER | {"answers": requested["id"]})
    ).status_code == 303
    assert await rows(engine, "SELECT letter_due_on FROM record") == [(None,)]
    assert await listed(head, "today") == []
    answer, requested = await letters(head, saved)
    assert (requested["answered_by"], answer["answers"]) == (answer["id"], requested["id"])
    head.cookies.set("callcenter_language", "ru")
    page = visible((await head.get(f"/appeals/{saved}")).text)
    assert "ответ получен: № 77-Ө" in page
    assert "ответ на № 03-2/118" in page


async def test_an_appeal_that_waits_for_an_answer_does_not_end(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    due = f"{today() + timedelta(days=10)}"
    await enter_letter(head, saved, REQUESTED | {"answer_due_on": due})
    refused = await send(head, saved, "move", version=1, after="closed")
    assert refused.status_code == 400
    [requested] = await letters(head, saved)
    path = f"/{requested['id']}"
    assert (await enter_letter(head, saved, REQUESTED | {"version": 1}, path)).status_code == 303
    assert (await send(head, saved, "move", version=1, after="closed")).status_code == 303
    # Nor does one that has ended begin to wait; what came is entered all the same.
    again = REQUESTED | {"version": 2, "answer_due_on": due}
    assert (await enter_letter(head, saved, again, path)).status_code == 400
    assert (await enter_letter(head, saved, ANSWER)).status_code == 303
    assert await rows(engine, "SELECT letter_due_on FROM record") == [(None,)]


async def test_of_closing_and_waiting_at_once_one_is_refused(
    head: httpx.AsyncClient, enter: Enter, engine: AsyncEngine, saved: str
) -> None:
    async with enter(Role.CONSULTANT) as other:
        waits = REQUESTED | {"answer_due_on": f"{today() + timedelta(days=10)}"}
        answers = await asyncio.gather(
            send(head, saved, "move", version=1, after="closed"), enter_letter(other, saved, waits)
        )
    assert sorted(each.status_code for each in answers) == [303, 400]
    [(stage, due)] = await rows(engine, "SELECT stage, letter_due_on FROM record")
    assert (stage == "closed") is (due is None)


async def test_simultaneous_corrections_of_a_letter_lose_nothing(
    head: httpx.AsyncClient, enter: Enter, saved: str
) -> None:
    await enter_letter(head, saved, REQUESTED)
    [stored] = await letters(head, saved)
    path, own = f"/{stored['id']}", {"letter": stored["id"], "version": 1}
    async with enter(Role.CONSULTANT) as other:
        answers = await asyncio.gather(
            enter_letter(head, saved, REQUESTED | own | {"number": "03-2/119"}, path),
            enter_letter(other, saved, REQUESTED | own | {"whom": "Школа № 6"}, path),
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
        on_top = REQUESTED | own | {"version": 2, "number": "03-2/119", "whom": "Школа № 6"}
        assert (await enter_letter(second, saved, on_top, path)).status_code == 303
    [now] = await letters(head, saved)
    assert (now["version"], now["number"], now["whom"]) == (3, "03-2/119", "Школа № 6")
    history = (await head.get(f"/api/v1/appeals/{saved}/record")).json()["history"]
    changed = [set(each["changes"]) for each in history if each["letter"] == stored["id"]]
    assert [len(each) for each in changed[:2]] == [1, 1]
    assert changed[2] == set(REQUESTED)


WRONG = (
    {"number": " "},
    {"whom": "a\nb"},
    {"about": "x" * 2001},
    {"dated": timedelta(days=2)},
    {"dated": "1999-12-31"},
    {"answer_due_on": timedelta(days=-30)},
    {"answer_due_on": "2199-01-01"},
    {"answers": "00000000-0000-4000-8000-000000000000"},
    {"scan": "00000000-0000-4000-8000-000000000000"},
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
async def test_what_is_wrong_is_said_and_what_was_typed_stays(
    head: httpx.AsyncClient, saved: str, wrong: dict[str, str | timedelta]
) -> None:
    typed = {
        name: f"{today() + each}" if isinstance(each, timedelta) else each
        for name, each in wrong.items()
    }
    refused = await enter_letter(head, saved, REQUESTED | typed)
    assert refused.status_code == 400
    if "x" not in str(wrong):  # as long as that comes from no browser
        assert "Справка о Тимуре" in refused.text
    assert await letters(head, saved) == []


async def test_a_letter_answers_one_that_went_the_other_way(
    head: httpx.AsyncClient, saved: str
) -> None:
    await enter_letter(head, saved, REQUESTED)
    [requested] = await letters(head, saved)
    same = REQUESTED | {"number": "2", "answers": requested["id"]}
    assert (await enter_letter(head, saved, same)).status_code == 400
    await enter_letter(head, saved, ANSWER | {"answers": requested["id"]})
    turned = REQUESTED | {"direction": "in", "version": 1, "letter": requested["id"]}
    assert (await enter_letter(head, saved, turned, f"/{requested['id']}")).status_code == 400


async def test_nothing_is_entered_before_the_record_is_saved(
    head: httpx.AsyncClient, call: Call
) -> None:
    assert (await enter_letter(head, call.number, REQUESTED)).status_code == 400


async def test_a_year_without_calendar_is_named_in_a_letter(
    head: httpx.AsyncClient, api: httpx.AsyncClient, saved: str
) -> None:
    late = REQUESTED | {"answer_due_on": "2199-01-01"}
    head.cookies.set("callcenter_language", "en")
    page = await enter_letter(head, saved, late)
    assert "The working calendar of 2199 is not entered" in visible(page.text)
    answer = await api.post(f"/api/v1/appeals/{saved}/letters", json=late)
    assert answer.status_code == 400
    assert "the working calendar of 2199 is not entered" in answer.json()["detail"]


async def test_an_answer_is_due_on_a_working_day() -> None:
    sent = date(2026, 11, 20)
    letter = Letter(
        Direction.OUT,
        LetterKind.REQUEST,
        LetterParty.OTHER,
        "1",
        sent,
        "w",
        "a",
        date(2026, 11, 28),
    )
    stored = normalize_letter(letter, date(2026, 11, 24), PACKAGED)
    assert stored.answer_due_on == date(2026, 11, 30)  # the 28th is a Saturday
    with pytest.raises(InvalidRequest):
        normalize_letter(letter, date(2026, 11, 19), PACKAGED)


async def test_the_api_enters_reads_and_changes_letters(
    api: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    path = f"/api/v1/appeals/{saved}/letters"
    key = {"Idempotency-Key": "letter"}
    requested = REQUESTED | {"answer_due_on": f"{today() + timedelta(days=10)}"}
    made = [await api.post(path, json=requested, headers=key) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert "Тимур" not in str(await rows(engine, "TABLE answered_request"))
    identity = made[0].json()["id"]
    assert (await api.put(f"{path}/{identity}", json=REQUESTED)).status_code == 428
    right = {"If-Match": '"1"'}
    changed = await api.put(f"{path}/{identity}", json=REQUESTED, headers=right)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    late = await api.put(f"{path}/{identity}", json=REQUESTED | {"number": "1"}, headers=right)
    assert late.status_code == 412
    reported = late.json()
    assert (reported["version"], list(reported["theirs"]), reported["both"]) == (
        2,
        ["answer_due_on"],
        [],
    )
    unknown = f"{path}/00000000-0000-4000-8000-000000000000"
    assert (await api.put(unknown, json=REQUESTED, headers=right)).status_code == 404
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
    position = (await api.get(f"/api/v1/appeals/{saved}/record")).json()
    assert position["letter_due_on"] is None


async def test_a_letter_of_another_appeal_is_none_of_this_one(
    api: httpx.AsyncClient, saved: str
) -> None:
    await enter_letter(api, saved, REQUESTED)
    [stored] = await letters(api, saved)
    new = {"channel": "paper", "language": "ru", "received_at": "2026-11-20T10:15:00+05:00"}
    other = (await api.post("/api/v1/appeals", json=new)).json()["number"]
    path = f"/api/v1/appeals/{other}/letters"
    moved = await api.put(f"{path}/{stored['id']}", json=REQUESTED, headers={"If-Match": '"1"'})
    assert moved.status_code == 404
    answer = ANSWER | {"answers": stored["id"]}
    assert (await api.post(path, json=answer)).status_code == 400


async def test_letters_are_in_a_file_with_personal_data_alone(
    head: httpx.AsyncClient, saved: str
) -> None:
    await enter_letter(head, saved, REQUESTED)
    head.headers["accept-language"] = "ru"
    for personal in (False, True):
        requested = {"stage": "contact", "personal": str(personal).lower()}
        answer = await head.get("/api/v1/search/export", params=requested)
        [row] = of_csv(answer)
        assert ("Письма и запросы" in row) is personal
    dated = date.fromisoformat(REQUESTED["dated"])
    assert row["Письма и запросы"] == (
        f"Запрос, Исходящее, № 03-2/118, {dated:%d.%m.%Y}, Государственный орган: "
        "Школа № 5, Омаровой, Справка о Тимуре Оспанове"
    )


async def test_an_appeal_is_found_by_its_current_letters(
    head: httpx.AsyncClient, engine: AsyncEngine, saved: str
) -> None:
    await enter_letter(head, saved, REQUESTED)
    for requested in ("03-2/118", "справки", "школы Омаровой", "омаровой алименты"):
        assert await search(head, requested) == [saved], requested
    for table in ("record_search", "search_word"):
        assert "омаров" not in str(await rows(engine, f"TABLE {table}")).casefold()
        assert "omarov" not in str(await rows(engine, f"TABLE {table}"))
    # Saving the record does not forget them.
    helped = {"f.help": "information", "f.content": "Муж уехал"}
    assert (await send(head, saved, version=1, **WHOLE | helped)).status_code == 303
    assert await search(head, "уехал справки") == [saved]
    [stored] = await letters(head, saved)
    right = REQUESTED | {"version": 1, "about": "Характеристика"}
    await enter_letter(head, saved, right, f"/{stored['id']}")
    assert await search(head, "справки") == []
    assert await search(head, "характеристику") == [saved]


async def test_who_does_not_see_personal_data_sees_no_letters(
    head: httpx.AsyncClient, enter: Enter, saved: str
) -> None:
    await enter_letter(head, saved, REQUESTED)
    for role in (Role.AUDITOR, Role.ADMINISTRATOR, Role.STATE_BODY):
        async with enter(role) as client:
            answer = await client.get(f"/api/v1/appeals/{saved}/letters")
            assert answer.status_code == 403
