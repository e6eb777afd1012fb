"""Terms of the law run until they are kept, also of appeals that are opened, split or joined."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.jobs import alert_of_calendar, alert_of_late_work
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.jobs import WorkerResources
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter, open_call
from tests.web.test_record_api import authorized, change
from tests.web.test_records import WHOLE, rows, send
from tests.web.test_work_lists import alerts, listed, put

COMPLAINT = WHOLE | {"kind": "complaint"}
LATER = f"{datetime.now(ZONE).date() + timedelta(days=40)}"
EARLIER = datetime(2026, 11, 10, 5, tzinfo=UTC)  # a Tuesday, 10:00 in Almaty
REASON = "Запрошены документы"


async def register(client: httpx.AsyncClient, number: str, whole: dict[str, Any] = WHOLE) -> None:
    """As its version 2."""
    assert (await send(client, number, version=0, **whole)).status_code == 303
    moved = await send(client, number, "move", version=1, after="registered")
    assert moved.status_code == 303


async def terms(engine: AsyncEngine, number: str) -> tuple[Any, ...]:
    """Last days of answer, notice and passing on, and the article of the answer's."""
    query = (
        "SELECT number, due_on, due_article, notice_due_on, forward_due_on FROM record"
        " JOIN appeal ON appeal.id = appeal_id"
    )
    return {row[0]: row[1:] for row in await rows(engine, query)}[number]


async def test_an_answer_is_put_off_by_who_leads_alone(
    enter: Enter, head: httpx.AsyncClient, call: Call
) -> None:
    await register(head, call.number)
    put_off = {"until": LATER, "reason": REASON}
    for role in (Role.CONSULTANT, Role.SENIOR, Role.RECORDS_OFFICER):
        async with enter(role) as client:
            assert "record/extend" not in (await client.get(f"/appeals/{call.number}")).text
            refused = await send(client, call.number, "extend", version=2, **put_off)
            assert refused.status_code == 403
    assert "record/extend" in (await head.get(f"/appeals/{call.number}")).text
    assert (await send(head, call.number, "extend", version=2, **put_off)).status_code == 303


async def tell(
    client: httpx.AsyncClient, number: str, version: int, how: str, *, by_api: bool
) -> int:
    if by_api:
        await authorized(client)
        answer = await change(client, number, version, {"how": how}, "extension/notice")
    else:
        answer = await send(client, number, "notice", version=version, reason=how)
    return answer.status_code


@pytest.mark.parametrize("by_api", [False, True])
async def test_an_applicant_hears_of_an_extension_or_somebody_is_alerted(
    enter: Enter,
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    call: Call,
    by_api: bool,
) -> None:
    await register(head, call.number)
    await send(head, call.number, "move", version=2, after="in_work")
    assert await tell(head, call.number, 3, "Позвонили", by_api=by_api) == 400  # of nothing
    await send(head, call.number, "extend", version=3, until=LATER, reason=REASON)
    tools, then = WorkerResources(settings, engine), datetime.now(UTC) + timedelta(days=10)
    await alert_of_late_work(tools, redis, then)
    assert await alerts(redis) == {"appeal_overdue": 1}
    async with enter(Role.CONSULTANT) as client:
        assert await tell(client, call.number, 4, " ", by_api=by_api) == 400
        done = 200 if by_api else 303
        assert await tell(client, call.number, 4, "Позвонили 26.11", by_api=by_api) == done
    assert (await terms(engine, call.number))[2] is None
    [step] = await rows(engine, "SELECT author, reason FROM record_move ORDER BY id DESC LIMIT 1")
    assert (step[0][:15], step[1]) == ("user:consultant", "Позвонили 26.11")
    await redis.flushdb()
    await alert_of_late_work(tools, redis, then)
    assert await alerts(redis) == {}


async def test_the_term_that_holds_on_the_legal_date_counts(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    token = await form_token(head, "/terms")
    for length, valid_from in ((5, "2026-11-20"), (1, "2030-01-01")):
        term = {"clock": "decide", "unit": "working_days", "article": f"350-VI, 76({length})"}
        stored = await head.post(
            "/terms",
            data=term | {"length": str(length), "valid_from": valid_from, "form_token": token},
        )
        assert stored.status_code == 303
    _, before = await open_call(engine, "call-2", EARLIER)
    for number, due in (
        (before, (date(2026, 12, 1), "350-VI, 76(1)")),
        (call.number, (date(2026, 12, 1), "350-VI, 76(5)")),
    ):
        await register(head, number)
        assert (await terms(engine, number))[:2] == due


async def test_a_complaint_has_its_own_term_which_nobody_puts_off(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await register(head, call.number, COMPLAINT)
    assert (await terms(engine, call.number))[:2] == (date(2026, 12, 23), "350-VI, 99")
    assert "23.12.2026 (350-VI, 99)" in (await head.get(f"/appeals/{call.number}/receipt")).text
    refused = await send(head, call.number, "extend", version=2, until=LATER, reason=REASON)
    assert refused.status_code == 400


async def test_no_article_of_the_law_is_cited_in_english(engine: AsyncEngine) -> None:
    cited = await rows(engine, "SELECT article FROM law_term")
    assert all(article.startswith("350-VI, ") for (article,) in cited)


async def test_a_running_term_continues_in_the_joined_appeal(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, before = await open_call(engine, "call-2", EARLIER)
    await register(head, before)
    await send(head, before, "extend", version=2, until=LATER, reason=REASON)
    await put(engine, "UPDATE record SET due_on = '2026-12-01'")
    joining = {"into": call.number, "reason": "Об одном"}
    # No term of an answer runs there: nobody would be alerted any more.
    assert (await send(head, before, "join", version=3, **joining)).status_code == 400
    await register(head, call.number)
    later, article, *_ = await terms(engine, call.number)
    assert later > date(2026, 12, 1)
    notice = (await terms(engine, before))[2]
    assert (await send(head, before, "join", version=3, **joining)).status_code == 303
    due, article, reported, _ = await terms(engine, call.number)
    assert (due, article, reported) == (date(2026, 12, 1), "350-VI, 76(3)", notice)


async def test_a_later_term_postpones_nothing_in_the_joined_appeal(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    _, before = await open_call(engine, "call-2", EARLIER)
    for number in (before, call.number):
        await register(head, number)
    stored = await terms(engine, before)
    joined = await send(head, call.number, "join", version=2, into=before, reason="Об одном")
    assert joined.status_code == 303
    assert await terms(engine, before) == stored


@pytest.mark.parametrize("urgent", [{"kind": "danger"}, {"f.danger": "yes"}])
async def test_unreported_danger_cannot_be_hidden_by_joining(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, urgent: dict[str, str]
) -> None:
    _, other = await open_call(engine, "call-2", EARLIER)
    helped = {"f.help": "information", "f.decision": "d", "f.decision_reason": "r"}
    await send(head, call.number, version=0, **WHOLE | helped | urgent)
    assert await listed(head, "urgent") == [call.number]
    joining = {"into": other, "reason": "Об одном"}
    for action, values in (("join", joining), ("move", {"after": "closed"})):
        assert (await send(head, call.number, action, version=1, **values)).status_code == 400
    await send(head, call.number, "danger", version=1, reason="102, дежурный Омаров")
    assert await listed(head, "urgent") == []
    assert (await send(head, call.number, "join", version=2, **joining)).status_code == 303


async def opened_by_hand(head: httpx.AsyncClient, received_at: str) -> str:
    token = await form_token(head, "/new-appeal")
    sent = {"channel": "paper", "language": "kk", "received_at": received_at}
    opened = await head.post("/new-appeal", data=sent | {"form_token": token})
    return opened.headers["location"].split("/")[2]


async def test_paper_is_registered_on_its_day_or_alerts(
    head: httpx.AsyncClient, engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    """On the legal date: a Friday evening is the Monday after (APPC, 64(3))."""
    number = await opened_by_hand(head, "2026-11-20T20:15")
    assert await terms(engine, number) == (None, None, None, date(2026, 11, 23))
    page = (await head.get(f"/appeals/{number}")).text
    assert "23.11.2026" in page
    for which in ("mine", "overdue"):
        assert await listed(head, which) == [number]
    await alert_of_late_work(WorkerResources(settings, engine), redis, datetime.now(UTC))
    assert await alerts(redis) == {"appeal_overdue": 1}
    found = await head.get("/search", params={"stage": "contact"})
    assert f"/appeals/{number}" in found.text
    assert (
        await send(head, number, "no-request", version=1, disposition="prank")
    ).status_code == 303
    for which in ("mine", "overdue"):
        assert await listed(head, which) == []


@pytest.mark.parametrize(
    ("received_at", "due"), [("2009-06-20T20:15", True), ("1999-01-01T10:00", False)]
)
async def test_old_arrivals_are_overdue_at_once_within_a_century(
    head: httpx.AsyncClient, received_at: str, *, due: bool
) -> None:
    """No calendar of that year is entered."""
    if due:
        number = await opened_by_hand(head, received_at)
        assert await listed(head, "overdue") == [number]
    else:
        token = await form_token(head, "/new-appeal")
        sent = {"form_token": token, "channel": "paper", "language": "kk"}
        refused = await head.post("/new-appeal", data=sent | {"received_at": received_at})
        assert refused.status_code == 400


NO_CALENDAR = {
    "kk": "2009 жылдың жұмыс күнтізбесі енгізілмеген",
    "ru": "Рабочий календарь на 2009 год не внесён",
    "en": "The working calendar of 2009 is not entered",
}


async def test_an_appeal_of_a_year_without_calendar_is_not_registered(
    head: httpx.AsyncClient,
) -> None:
    number = await opened_by_hand(head, "2009-06-20T20:15")
    assert (await send(head, number, version=1, **WHOLE)).status_code == 303
    for language, words in NO_CALENDAR.items():
        head.cookies.set("callcenter_language", language)
        refused = await send(head, number, "move", version=2, after="registered")
        assert (refused.status_code, words in refused.text) == (400, True)
    await authorized(head)
    answer = await change(head, number, 2, {"after": "registered"}, "moves")
    assert answer.status_code == 400
    assert "the working calendar of 2009 is not entered" in answer.json()["detail"]


async def test_without_a_calendar_terms_name_the_year(
    head: httpx.AsyncClient, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(head, call.number)
    monkeypatch.setattr("callcenter.working_calendar.store.packaged_years", dict)
    head.cookies.set("callcenter_language", "en")
    put_off = {"until": LATER, "reason": REASON}
    page = await send(head, call.number, "extend", version=2, **put_off)
    await authorized(head)
    api = await change(head, call.number, 2, put_off, "extension")
    for answer in (page, api):
        assert answer.status_code == 400
        assert "he working calendar of 20" in answer.text
    # What needs no term goes on, by the day itself.
    assert (await send(head, call.number, "split", version=2, key=["content"])).status_code == 303


async def test_supervisors_are_alerted_before_the_calendar_ends(
    engine: AsyncEngine, redis: Redis
) -> None:
    for today, count in ((date(2027, 9, 1), 0), (date(2027, 9, 2), 1), (date(2028, 1, 1), 2)):
        await alert_of_calendar(engine, redis, today)
        await alert_of_calendar(engine, redis, today)
        assert (await alerts(redis)).get("calendar_ends", 0) == count
        await redis.delete(*await redis.keys("desk:alarmed:*") or ["-"])


async def test_a_split_part_has_an_owner_and_waits_for_nothing(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call
) -> None:
    await register(head, call.number)
    split = await send(head, call.number, "split", version=2, key=["content"])
    part = split.headers["location"].split("/")[2]
    assert (await terms(engine, part))[3] == date(2026, 11, 24)
    assert part in await listed(head, "mine")


DAYS: Sequence[tuple[str, int]] = (("today", 0), ("overdue", -1), ("", 1))


@pytest.mark.parametrize("term", ["due_on", "notice_due_on", "forward_due_on"])
async def test_what_is_due_is_on_the_list_of_its_day(
    head: httpx.AsyncClient, engine: AsyncEngine, call: Call, term: str
) -> None:
    await register(head, call.number)
    nothing = "UPDATE record SET due_on = NULL, notice_due_on = NULL, forward_due_on = NULL"
    await put(engine, nothing)
    for expected, days in DAYS:
        day = datetime.now(ZONE).date() + timedelta(days=days)
        await put(engine, f"UPDATE record SET {term} = :day", day=day)  # noqa: S608
        for which in ("today", "overdue"):
            assert (await listed(head, which) == [call.number]) is (which == expected), days
