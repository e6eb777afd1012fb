"""How many bytes a browser is sent for each page on its first visit."""

import re
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.tables import consultant
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from tests.web.browser import form_token, looker
from tests.web.conftest import Call, Enter
from tests.web.test_access import EXPECTED, filled_in
from tests.web.test_letters import REQUESTED
from tests.web.test_listening import work_in
from tests.web.test_record_fields import OF_PEOPLE, OF_THE_APPEAL
from tests.web.test_records import send

assert filled_in  # the fixture, which tests ask for by its name

HEAVIEST = 200_000  # bytes of a page with all that it loads
NO_PAGES = ("/api/", "/health/", "/static/", "/sign-in/provider")


async def weigh(client: httpx.AsyncClient, *paths: str) -> int:
    """The bytes that are sent of a page, of the parts that it loads, and of all their files."""
    sent = [await client.get(path, follow_redirects=True) for path in paths]
    files = {file for each in sent for file in re.findall(r'"(/static/[^"]+)"', each.text)}
    sent += [await client.get(each) for each in sorted(files)]
    assert {each.status_code for each in sent} <= {200, 400}, paths  # some pages ask for more
    return sum(each.num_bytes_downloaded for each in sent)


async def test_no_page_weighs_more_than_200_kb(
    enter: Enter, engine: AsyncEngine, redis: Redis, filled_in: dict[str, str]
) -> None:
    await redis.hset("desk:roster", "2001", "kk ru")
    weights = dict[str, int]()
    async with AsyncExitStack() as stack:
        clients = {each: await stack.enter_async_context(enter(each)) for each in (None, *Role)}
        await work_in(engine, Role.SENIOR, None)
        for (method, route), permission in EXPECTED.items():
            if method == "GET" and not route.startswith(NO_PAGES) and not route.endswith("/events"):
                client = clients[looker(permission)]
                client.headers["accept-language"] = "kk"
                weights[route] = await weigh(client, route.format(**filled_in))
    assert len(weights) > 50
    assert {route: each for route, each in weights.items() if each > HEAVIEST} == {}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_full_record_weighs_no_more_in_any_language(
    enter: Enter, engine: AsyncEngine, call: Call, language: str
) -> None:
    async with enter(Role.SENIOR) as client:
        await work_in(engine, Role.SENIOR, None)
        async with unit_of_work(engine) as connection:  # the own telephone is in this page
            await connection.execute(update(consultant).values(in_browser=True))
        client.headers["accept-language"] = language
        await fill_in_everything(client, call.number)
        of_appeal = await weigh(client, f"/appeals/{call.number}")
        at_work = await weigh(client, "/workspace", f"/appeals/{call.number}/panel")
    assert max(of_appeal, at_work) <= HEAVIEST


async def fill_in_everything(client: httpx.AsyncClient, number: str) -> None:
    """Save a record with an answer to each question, and one of all else that an appeal has."""
    content = {f"f.{key}": value for key, value in (OF_THE_APPEAL | OF_PEOPLE).items()}
    made = [
        await send(client, number, version=0, kind="statement", **content),
        await send(client, number, "danger", version=1, reason="102, дежурный Омаров"),
        await send(client, number, "move", version=2, after="registered"),
    ]
    token = await form_token(client, f"/appeals/{number}")
    now = datetime.now(ZONE)
    reminder = {"at": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M}", "about": "Позвонить"}
    said = {"party": "state_body", "whom": "Отдел полиции", "at": f"{now:%Y-%m-%dT%H:%M}"}
    for path, values in (
        ("contact-wishes", {"allowed": "false"}),
        ("oral-contacts", said | {"said": "Выехали"}),
        ("letters", REQUESTED),
        ("record/remind", reminder),
    ):
        form = {"form_token": token} | values
        made.append(await client.post(f"/appeals/{number}/{path}", data=form))
    file = {"file": ("Справка.txt", b"word")}
    path = f"/appeals/{number}/attachments"
    made.append(await client.post(path, data={"form_token": token}, files=file))
    assert [each.status_code for each in made] == [303] * len(made)
