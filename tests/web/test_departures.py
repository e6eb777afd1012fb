"""A request leaves when its body works, or at once; then the body is the source of news (R22)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.status.lookup import SqlAppealStatusLookup
from callcenter.bodies.rules.working_hours import BodyHours
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.monitoring.alerts import OPEN, close_alerts
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.engine import unit_of_work
from callcenter.requests.departures import (
    alert_of_late_departures,
    plan_departures,
    watch_departures,
)
from callcenter.requests.news import NEWS_SOURCES
from callcenter.requests.store import list_late_notices
from tests.calendars import PACKAGED
from tests.rules.test_working_hours import USUAL
from tests.services import opened_as
from tests.storage.test_status_lookup import appeal as add_appeal
from tests.web.browser import visible
from tests.web.conftest import CALLER, Call
from tests.web.test_bodies import find
from tests.web.test_records import rows
from tests.web.test_records import send as send_record
from tests.web.test_requests import (
    RECORD,
    WORDS,
    act,
    begin,
    begin_written,
    hand_over,
    make_ready,
    post,
    step,
)

READY = "/work?list=requests_ready"
NOTICES = "/work?list=requests_notices"
URGENT = {"f.urgency": "urgent", "f.danger_reason": "Муж пьян и рядом"}
#: About nothing that is dangerous to know at home.
OF_WORK = RECORD | {
    "f.content": "Не платят зарплату",
    "f.topics": ["labour"],
    "f.applicant.phone": "+77019998877",
}
RECEIPT_CODE = "0427"
DAY = timedelta(days=1)
MONTHS_AGO = datetime.now(ZONE).date() - 60 * DAY
#: Each day of this year and of the next that came with the version: nobody works before 2028.
ALL_OFF = """
    INSERT INTO calendar_year (year, version, off, worked, author)
    SELECT year, 1, jsonb_agg(jsonb_build_object(
        'date', day::date::text, 'kind', 'holiday', 'kk', '-', 'ru', '-')), '[]', 'user:head'
    FROM generate_series(extract(year FROM now())::int, 2027) year,
        generate_series(make_date(year, 1, 1), make_date(year, 12, 31), interval '1 day') day
    GROUP BY year
"""


async def put(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text(statement), values)


async def close_for_two_days(engine: AsyncEngine) -> datetime:
    """Have bodies work around the clock but today and tomorrow; returns when they do again."""
    today = datetime.now(ZONE).date()
    hours = f"24/7; {today} off; {today + DAY} off"
    await put(engine, "UPDATE body SET working_hours = :hours", hours=hours)
    return datetime.combine(today + 2 * DAY, datetime.min.time(), ZONE)


async def written(client: httpx.AsyncClient, number: str, **values: Any) -> str:
    """The address of a request that is composed, of an appeal whose record is written first."""
    assert (await send_record(client, number, version=0, **RECORD | values)).status_code == 303
    path = await begin(client, number)
    await act(client, path, words=WORDS, field=["content"])
    return path


async def leaves_at(engine: AsyncEngine) -> datetime:
    [(moment,)] = await rows(engine, "SELECT leaves_at FROM body_request")
    assert isinstance(moment, datetime)
    return moment


async def test_an_ordinary_request_waits_until_its_body_works(
    engine: AsyncEngine, worker_engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    opens = await close_for_two_days(engine)
    path = await written(head, call.number)
    assert (await make_ready(head, path)).status_code == 303
    assert await leaves_at(engine) == opens
    page = visible((await head.get(path)).text)
    assert f"It leaves at {opens:%d.%m.%Y}, 00:00:00, when the body works." in page
    assert "around the clock" in page
    appeal = visible((await head.get(f"/appeals/{call.number}")).text)
    assert f"leaves at {opens:%d.%m.%Y}, 00:00:00" in appeal
    assert call.number not in (await head.get(READY)).text
    # A process of the version before plans nothing.
    await put(engine, "UPDATE body_request SET leaves_at = NULL")
    await plan_departures(worker_engine, datetime.now(UTC))
    assert await leaves_at(engine) == opens
    # The head enters meanwhile that it works: what waits leaves then.
    await put(engine, "UPDATE body SET working_hours = '24/7'")
    now = datetime.now(UTC)
    await plan_departures(worker_engine, now)
    assert await leaves_at(engine) == now
    assert call.number in (await head.get(READY)).text
    assert "To be handed over since" in visible((await head.get(path)).text)
    # Whoever works on its page is not in the way of that, nor disturbed by it.
    await close_for_two_days(engine)
    await plan_departures(worker_engine, datetime.now(UTC))
    assert await leaves_at(engine) == now  # its moment came


@pytest.mark.parametrize("is_by_key", [False, True])
async def test_what_is_urgent_or_becomes_so_leaves_at_once(
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    head: httpx.AsyncClient,
    call: Call,
    is_by_key: bool,
) -> None:
    head.headers["accept-language"] = "en"
    opens = await close_for_two_days(engine)
    if is_by_key:
        await put(engine, "UPDATE appeal SET urgent = '{danger}'")
    path = await written(head, call.number, **({} if is_by_key else URGENT))
    assert (await make_ready(head, path)).status_code == 303
    assert await leaves_at(engine) <= datetime.now(UTC)
    assert call.number in (await head.get(READY)).text
    assert "hand it over at once, at any hour" in visible((await head.get(path)).text)
    # Nobody had known at first.
    await put(engine, "UPDATE body_request SET leaves_at = :at", at=opens)
    now = datetime.now(UTC)
    await plan_departures(worker_engine, now)
    assert await leaves_at(engine) == now


async def test_what_became_urgent_is_due_before_it_is_planned_anew(
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    head: httpx.AsyncClient,
    call: Call,
) -> None:
    head.headers["accept-language"] = "en"
    opens = await close_for_two_days(engine)
    path = await written(head, call.number)
    await make_ready(head, path)

    async def due() -> tuple[bool, bool, bool, list[str]]:
        """As the list, the page of the request, that of the appeal, and the alerts have it."""
        await alert_of_late_departures(worker_engine, redis, datetime.now(UTC))
        page = visible((await head.get(path)).text)
        appeal = visible((await head.get(f"/appeals/{call.number}")).text)
        return (
            call.number in (await head.get(READY)).text,
            "Until then it waits" not in page,
            "to be handed over now" in appeal,
            [str(each).partition(":")[0] for each in await redis.hkeys(OPEN)],
        )

    assert await due() == (False, False, False, [])
    await send_record(head, call.number, version=1, **RECORD | URGENT)
    assert await due() == (True, True, True, ["urgent_request_waits"])
    await send_record(head, call.number, version=2, **RECORD)
    assert await due() == (False, False, False, [])
    await put(engine, "UPDATE body_request SET leaves_at = NULL")  # of the version before
    assert await due() == (True, True, True, ["request_waits"])
    # The caller pressed the key of danger, and nobody marked the record.
    await put(engine, "UPDATE body_request SET leaves_at = :at", at=opens)
    await put(engine, "UPDATE appeal SET urgent = '{danger}'")
    assert await due() == (True, True, True, ["urgent_request_waits"])
    await send_record(head, call.number, version=3, **RECORD | {"f.urgency": "usual"})
    assert await due() == (False, False, False, [])  # it was pressed by mistake


async def test_hours_that_cannot_be_read_hold_up_no_other_body(
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    settings: Settings,
    redis: Redis,
    head: httpx.AsyncClient,
    call: Call,
) -> None:
    opens = await close_for_two_days(engine)
    await put(engine, "UPDATE body SET working_hours = '9-18' WHERE code = 'internal_affairs'")
    paths = [await written(head, call.number), await begin(head, call.number, body="justice")]
    for path in paths:
        await act(head, path, words=WORDS, field=["content"])
        assert (await make_ready(head, path)).status_code == 303
    unplanned = "UPDATE body_request SET leaves_at = NULL WHERE state = 'waiting'"
    await put(engine, unplanned)
    now = datetime.now(UTC)
    await plan_departures(worker_engine, now)
    planned = "SELECT body, leaves_at FROM body_request WHERE state = 'waiting' ORDER BY body"
    as_most = PACKAGED.next_working_moment(now, BodyHours())
    assert await rows(engine, planned) == [("internal_affairs", as_most), ("justice", opens)]
    for page in (paths[0], "/bodies/internal_affairs"):
        assert (await head.get(page)).status_code == 200
    await hand_over(head, paths[0])
    # Whatever becomes of planning, somebody hears of it.
    await put(engine, unplanned)
    await put(engine, "ALTER TABLE body RENAME TO body_of_another_version")
    with pytest.raises(SQLAlchemyError):
        await watch_departures(worker_engine, settings, datetime.now(UTC))
    assert len(await redis.hkeys(OPEN)) == 1


async def test_a_request_that_nobody_hands_over_raises_an_alert(
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    head: httpx.AsyncClient,
    call: Call,
) -> None:
    path = await written(head, call.number)
    await make_ready(head, path)

    async def alerts(after: timedelta) -> list[str]:
        now = await leaves_at(engine) + after
        await alert_of_late_departures(worker_engine, redis, now)
        return [str(each).partition(":")[0] for each in await redis.hkeys(OPEN)]

    assert await alerts(timedelta(minutes=29)) == []
    assert await alerts(timedelta(minutes=31)) == ["request_waits"]
    await send_record(head, call.number, version=1, **RECORD | URGENT)
    assert await alerts(timedelta(minutes=4)) == []
    assert await alerts(timedelta(minutes=6)) == ["urgent_request_waits"]
    # Taken back to mend a word, and late again: acknowledged or not, it is another one.
    for acknowledged in ([], [str(each) for each in await redis.hkeys(OPEN)]):
        await close_alerts(redis, acknowledged)
        await step(head, path, "returned")
        if not acknowledged:
            assert await alerts(timedelta(minutes=6)) == []
        await make_ready(head, path)
        assert await alerts(timedelta(minutes=6)) == ["urgent_request_waits"]
    # So is one that was ordinary meanwhile.
    for version, is_acknowledged in ((2, False), (4, True)):
        if is_acknowledged:
            await close_alerts(redis, [str(each) for each in await redis.hkeys(OPEN)])
        await send_record(head, call.number, version=version, **RECORD)
        assert await alerts(timedelta(minutes=6)) == []
        await send_record(head, call.number, version=version + 1, **RECORD | URGENT)
        assert await alerts(timedelta(minutes=6)) == ["urgent_request_waits"]
    await hand_over(head, path)
    assert await alerts(timedelta(minutes=6)) == []


async def test_no_request_waits_into_a_year_that_is_not_entered(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    await put(engine, ALL_OFF)
    path = await written(head, call.number)
    refused = await make_ready(head, path)
    assert refused.status_code == 400
    assert "/calendar" in refused.text
    assert await rows(engine, "SELECT state FROM body_request") == [("drafted",)]
    await send_record(head, call.number, version=1, **RECORD | URGENT)
    assert (await make_ready(head, path)).status_code == 303


@pytest.mark.parametrize(
    ("language", "said"), [("ru", "передано в орган"), ("kk", "органға берілді")]
)
async def test_the_applicant_is_notified_which_body_has_it(
    engine: AsyncEngine,
    head: httpx.AsyncClient,
    call: Call,
    language: str,
    said: str,
) -> None:
    head.headers["accept-language"] = "en"
    await put(engine, "UPDATE appeal SET language = :language", language=language)
    path = await written(head, call.number)
    await send_record(head, call.number, "move", version=1, after="registered")
    await make_ready(head, path)
    page = visible((await head.get(path)).text)
    assert "and the applicant is notified at the same time" in page
    assert call.number not in (await head.get(NOTICES)).text
    assert (await step(head, path, "notified")).status_code == 400  # nobody has it yet
    wish = "INSERT INTO contact_wish (appeal_id, person, channel, allowed, at, author) VALUES"
    await put(engine, f"{wish} (:id, '', 'letter', false, now(), 'user:a')", id=call.id)
    await hand_over(head, path)
    assert call.number in (await head.get(NOTICES)).text
    body = await find(engine, "internal_affairs")
    html = (await head.get(path)).text
    assert '<button name="step"' not in html  # Enter presses the first one of a form
    page = visible(html)
    for part in (said, body.names[0].in_language(language), "ЗТ-2026-777", "102", call.number):
        assert part in page
    assert "nobody has verified it" in page
    appeal = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "News of this appeal comes from" in appeal
    assert "Telephone 102 nobody has verified it" in appeal
    assert "the applicant is not notified yet" in appeal
    assert "must not be reached" in page
    assert f"By telephone {mask(CALLER)} may be reached" in page
    refused = (await step(head, path, "notified", reason="Прочитано" * 300)).text
    assert refused.count("Прочитано" * 300) == 1  # in no other form of the page
    # That nobody answers is noted, and is no notice.
    assert (await step(head, path, "not_notified", reason=" ")).status_code == 400
    assert (await step(head, path, "not_notified", reason="Не отвечает")).status_code == 303
    assert call.number in (await head.get(NOTICES)).text
    page = visible((await head.get(path)).text)
    assert "The applicant could not be notified. Не отвечает" in page
    assert "Notified at" not in page
    assert (await step(head, path, "notified", reason="Прочитано по телефону")).status_code == 303
    assert call.number not in (await head.get(NOTICES)).text
    assert await rows(engine, "SELECT state FROM body_request") == [("sent",)]
    page = visible((await head.get(path)).text)
    assert "Notified at" in page
    assert "The applicant was notified which body has it" in page
    # Noted by mistake, it is put right.
    assert (await step(head, path, "not_notified", reason="Не та строка")).status_code == 303
    assert call.number in (await head.get(NOTICES)).text
    assert "Notified at" not in visible((await head.get(path)).text)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ({"which": "answered"}, "Орган ответил"),
        ({"which": "refused", "competent": "justice"}, "вопрос решает другой орган"),
        ({"which": "withdrawn"}, "Мы его отозвали"),
    ],
)
async def test_a_notice_is_due_though_the_body_has_ended_it(
    head: httpx.AsyncClient, call: Call, ending: dict[str, str], said: str
) -> None:
    head.headers["accept-language"] = "en"
    path = await written(head, call.number)
    await send_record(head, call.number, "move", version=1, after="registered")
    await make_ready(head, path)
    await hand_over(head, path)
    assert (await step(head, path, **ending)).status_code == 303
    assert call.number in (await head.get(NOTICES)).text
    appeal = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "the applicant is not notified yet" in appeal
    page = visible((await head.get(path)).text)
    assert said in page
    assert "ЗТ-2026-777" in page
    assert "source of news" not in page
    assert (await step(head, path, "notified")).status_code == 303
    assert call.number not in (await head.get(NOTICES)).text


async def test_an_appeal_that_ended_needs_no_notice(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await written(head, call.number)
    await send_record(head, call.number, "move", version=1, after="registered")
    await make_ready(head, path)
    await hand_over(head, path)
    await step(head, path, "answered")
    assert 'value="notified"' in (await head.get(path)).text
    await put(engine, "UPDATE record SET stage = 'closed'")
    appeal = visible((await head.get(f"/appeals/{call.number}")).text)
    assert "the body has answered" in appeal
    assert "the applicant is not notified yet" not in appeal
    assert 'value="notified"' not in (await head.get(path)).text


async def test_what_never_left_needs_no_notice(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    path = await written(head, call.number)
    assert (await step(head, path, "withdrawn")).status_code == 303
    [(version,)] = await rows(engine, "SELECT version FROM body_request")
    for which in ("notified", "not_notified"):
        typed = {"version": version, "step": which, "reason": "по телефону"}
        assert (await post(head, f"{path}/steps", **typed)).status_code == 400


async def test_a_notice_that_nobody_saw_to_raises_an_alert(
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    redis: Redis,
    head: httpx.AsyncClient,
    call: Call,
) -> None:
    path = await written(head, call.number)
    await send_record(head, call.number, "move", version=1, after="registered")
    await make_ready(head, path)
    before = datetime.now(ZONE).date()
    await hand_over(head, path)
    [(due_on,)] = await rows(engine, "SELECT notice_due_on FROM body_request")
    dates = {before, datetime.now(ZONE).date()}  # midnight may have been between
    assert due_on in {PACKAGED.add_days(each, 1) for each in dates}

    async def alerts(days: int) -> list[str]:
        at = datetime.combine(due_on + days * DAY, datetime.min.time(), ZONE)
        await alert_of_late_departures(worker_engine, redis, at)
        return [str(each).partition(":")[0] for each in await redis.hkeys(OPEN)]

    assert await alerts(0) == []
    assert await alerts(1) == ["request_notice_late"]
    await step(head, path, "not_notified", reason="Просил не звонить")
    assert await alerts(2) == []


@pytest.mark.parametrize(
    ("noted", "caller", "is_due"),
    [
        ("notified", CALLER, False),
        ("notified", "+77010004567", True),
        ("not_notified", "+77010004567", True),
    ],
)
async def test_who_an_appeal_is_joined_to_is_notified_too(
    engine: AsyncEngine,
    worker_engine: AsyncEngine,
    head: httpx.AsyncClient,
    call: Call,
    noted: str,
    caller: str,
    is_due: bool,
) -> None:
    path = await written(head, call.number)
    await make_ready(head, path)
    await hand_over(head, path)
    await step(head, path, noted)
    into = await add_appeal(engine, registered_on=datetime.now(ZONE).date())
    await put(engine, "UPDATE appeal SET caller_number = :c WHERE number = :n", c=caller, n=into)
    joined = await send_record(
        head, call.number, "join", version=1, into=into, reason="одно и то же"
    )
    assert joined.status_code == 303, visible(joined.text)
    assert (into in (await head.get(NOTICES)).text) is is_due
    async with unit_of_work(worker_engine) as connection:
        late = await list_late_notices(connection, datetime.now(ZONE).date() + DAY)
    assert [row.number for row in late] == ([into] if is_due else [])


async def test_the_day_to_pass_it_on_stays_until_it_is(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await written(head, call.number)
    for version, after in enumerate(("registered", "in_work"), 1):
        moved = await send_record(head, call.number, "move", version=version, after=after)
        assert moved.status_code == 303, visible(moved.text)
    await make_ready(head, path)
    leaves = "UPDATE body_request SET leaves_at = now() + :days * interval '1 day'"
    today = datetime.now(ZONE).date()
    for registered_on, days, is_late in (
        (today, 0, False),
        (today, 30, True),
        (MONTHS_AGO, 30, False),
    ):
        await put(engine, "UPDATE record SET registered_on = :day", day=registered_on)
        await put(engine, leaves, days=days)
        page = visible((await head.get(path)).text)
        assert f"To be passed on by {PACKAGED.add_days(registered_on, 3):%d.%m.%Y}" in page
        assert ("hand it over before" in page) is is_late


async def test_a_body_that_ended_meanwhile_is_seen_before_it_leaves(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    ended = "UPDATE body SET ended_on = current_date - 1"
    gone = "This body does not exist any more"
    path = await written(head, call.number)
    page = await head.get(path)
    await put(engine, ended)
    assert gone in visible((await head.get(path)).text)
    [sha256] = re.findall(r'name="sha256" value="(\w+)"', page.text)
    assert (await act(head, path, "/ready", sha256=sha256)).status_code == 400
    await put(engine, "UPDATE body SET ended_on = NULL")
    await make_ready(head, path)
    assert gone not in visible((await head.get(path)).text)
    await put(engine, ended)
    assert gone in visible((await head.get(path)).text)
    # What was handed over all the same is a fact; its telephone is another's by now.
    await hand_over(head, path)
    page = await head.get(path)
    assert gone not in visible(page.text)
    assert re.search(r"\b102\b", visible(page.text)) is None
    appeal = await head.get(f"/appeals/{call.number}")
    assert appeal.status_code == 200
    assert "News of this appeal comes from" in visible(appeal.text)
    assert "Telephone 102" not in visible(appeal.text)


async def test_an_appeal_opens_whose_body_has_no_telephone(
    head: httpx.AsyncClient, call: Call
) -> None:
    head.headers["accept-language"] = "en"
    path = await begin_written(head, call.number, body="enlightenment")
    await act(head, path, words=WORDS, field=["content"])
    await make_ready(head, path)
    await hand_over(head, path)
    appeal = await head.get(f"/appeals/{call.number}")
    assert appeal.status_code == 200
    assert "News of this appeal comes from Ministry of Enlightenment" in visible(appeal.text)


async def test_what_a_closed_body_got_is_registered_when_it_works(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call
) -> None:
    path = await written(head, call.number)
    await make_ready(head, path)
    await put(engine, "UPDATE body_request SET begun_at = begun_at - interval '20 days'")
    today = datetime.now(ZONE).date()
    saturday = today - timedelta(days=(today.weekday() - 5) % 7 + 7)
    monday = PACKAGED.working_from(saturday)
    await put(engine, "UPDATE body SET working_hours = :hours", hours=f"{USUAL}; {monday} off")
    await hand_over(head, path, saturday)
    [(due_on,)] = await rows(engine, "SELECT due_on FROM body_request")
    # APPC, 64(3) and 76(2): from the day after the next day on which it works.
    assert due_on == PACKAGED.add_days(PACKAGED.add_days(monday, 1), 15)


@dataclass(frozen=True)
class Machine:
    """The voice or the API, which is asked who has an appeal."""

    settings: Settings
    number: str

    async def names(self, proof: str = RECEIPT_CODE) -> list[tuple[str, str, str | None]]:
        """The bodies that it names: in Russian, with number and telephone."""
        async with opened_as(DatabaseRole.CONTROLLER, self.settings) as controller:
            lookup = SqlAppealStatusLookup(controller, [NEWS_SOURCES])
            status = await lookup.look_up(self.number, proof, "1.1", CALLER)
        assert status is not None
        return [(each.names["ru"], each.number, each.telephone) for each in status.sources]


@pytest.fixture
async def machine(
    engine: AsyncEngine, settings: Settings, head: httpx.AsyncClient, call: Call
) -> Machine:
    """A machine that names the body of an appeal about nothing that is dangerous to know."""
    path = await written(head, call.number, **OF_WORK)
    await make_ready(head, path)
    await put(engine, "UPDATE record SET receipt_code = :code", code=RECEIPT_CODE)
    machine = Machine(settings, call.number)
    assert await machine.names() == []  # it has left nobody
    await hand_over(head, path)
    return machine


async def test_a_machine_names_the_body_by_the_receipt_alone(
    engine: AsyncEngine, head: httpx.AsyncClient, machine: Machine
) -> None:
    # Nobody has tried the number: a machine cannot say that it may be another one.
    assert await machine.names() == [("Министерство внутренних дел", "ЗТ-2026-777", None)]
    [contact] = (await find(engine, "internal_affairs")).contacts
    await post(head, f"/bodies/internal_affairs/contacts/{contact.id}/verified")
    assert await machine.names() == [("Министерство внутренних дел", "ЗТ-2026-777", "102")]
    assert await machine.names(CALLER[-4:]) == []  # whoever is at home knows it
    await put(engine, "UPDATE record SET receipt_code = :code", code=CALLER[-4:])
    assert await machine.names(CALLER[-4:]) == []
    await put(engine, "UPDATE record SET receipt_code = :code", code=RECEIPT_CODE)
    await put(engine, "UPDATE body_request SET state = 'answered'")
    assert await machine.names() == []


async def test_no_machine_names_the_body_where_home_is_dangerous(
    engine: AsyncEngine, head: httpx.AsyncClient, call: Call, machine: Machine
) -> None:
    async def set_topics(*topics: str) -> None:
        changed = "UPDATE record SET content = content || jsonb_build_object('topics', :topics)"
        await put(
            engine, changed.replace(":topics", "CAST(:topics AS jsonb)"), topics=dumps(topics)
        )

    at_home = ("violence", "violence_physical", "mental_suicide", "family_divorce", "missing")
    for topic in (*at_home, "other", "unknown"):
        await set_topics("labour", topic)
        assert await machine.names() == [], topic
    await set_topics()
    assert await machine.names() == []
    await set_topics("labour")
    for danger, none in (
        ("UPDATE appeal SET urgent = '{danger}'", "UPDATE appeal SET urgent = '{}'"),
        ("UPDATE record SET kind = 'danger'", "UPDATE record SET kind = 'statement'"),
        (
            "UPDATE record SET danger_passed_at = now()",
            "UPDATE record SET danger_passed_at = NULL",
        ),
    ):
        await put(engine, danger)
        assert await machine.names() == [], danger
        await put(engine, none)
    wish = """INSERT INTO contact_wish (appeal_id, number, person, channel, allowed, at, author)
        VALUES (:id, :number, '', 'call', false, now(), 'user:a')"""
    await add_appeal(engine, stage="closed")  # of the same telephone, long ago
    [(earlier_id,)] = await rows(engine, "SELECT appeal_id FROM record WHERE stage = 'closed'")
    await put(engine, "UPDATE appeal SET caller_number = :number", number=CALLER)
    for appeal_id, number in (
        (call.id, None),
        (None, CALLER),
        (None, OF_WORK["f.applicant.phone"]),
        (earlier_id, None),
    ):
        await put(engine, wish, id=appeal_id, number=number)
        assert await machine.names() == [], (appeal_id, number)
        await put(engine, "DELETE FROM contact_wish")
    assert len(await machine.names()) == 1
    await send_record(head, call.number, version=1, **OF_WORK | URGENT)
    assert await machine.names() == []
    # That the mark was taken back makes nobody safer.
    await send_record(head, call.number, version=2, **OF_WORK)
    assert await machine.names() == []


async def test_danger_of_a_joined_appeal_or_part_hides_the_body(
    engine: AsyncEngine, call: Call, machine: Machine
) -> None:
    of_work = {"topics": ["labour"]}
    await add_appeal(engine, stage="joined", joined_to=call.id)
    assert await machine.names() == []  # nobody wrote what that one is about
    about = "UPDATE record SET content = CAST(:content AS jsonb) WHERE stage = 'joined'"
    await put(engine, about, content=dumps(of_work))
    assert len(await machine.names()) == 1
    [(first_id,)] = await rows(engine, "SELECT appeal_id FROM record WHERE stage = 'joined'")
    for tie in ({"stage": "joined", "joined_to": first_id}, {"part_of": first_id}):
        other = await add_appeal(engine, kind="danger", content=of_work, **tie)
        assert await machine.names() == [], tie
        await put(
            engine,
            "UPDATE record SET kind = NULL WHERE appeal_id IN"
            " (SELECT id FROM appeal WHERE number = :number)",
            number=other,
        )
        assert len(await machine.names()) == 1
    whole = await add_appeal(engine, kind="danger", content=of_work)
    await put(
        engine,
        "UPDATE record SET part_of = (SELECT id FROM appeal WHERE number = :number)"
        " WHERE appeal_id = :id",
        number=whole,
        id=call.id,
    )
    assert await machine.names() == []
