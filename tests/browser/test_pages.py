"""Every page in the browser, in every language: it can be used by whoever cannot see it well, it
says nothing in another language, its scripts do not fail, and it fits its window."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from callcenter.bootstrap.web import web_modules
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.permissions import Role
from callcenter.platform.web.application import OWN
from callcenter.platform.web.authorization import route_permissions
from callcenter.platform.web.templating import HERE
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.page_checks import look_at
from tests.browser.site import BUSY, SOMEBODY, WAITS, Served, session_of
from tests.browser.test_actions import BY_ACTIONS
from tests.web.browser import looker

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: What is no page, name by name, so that no page of tomorrow is taken for one of these.
NO_PAGES = {
    "/appeals/{number}/attachments/{attachment_id}",
    "/appeals/{number}/receipt.pdf",
    "/appeals/{number}/requests/{request_id}/released/{file_name}",
    "/appeals/{number}/requests/{request_id}/text",
    "/authority/center.pem",
    "/authority/demands/{demand_number}/letter",
    "/authority/verify_bundle.py",
    "/demands/{demand_number}/letter",
    "/demands/{demand_number}/scan",
    "/duty/events",
    "/duty/telephone",
    "/workspace/events",
    "/workspace/telephone",
    "/live/events",
    "/live/queue/events",
    "/sign-in/provider",
    "/sign-in/provider/back",
}
#: Parts of pages, which are looked at within them.
PARTS = {
    "/answers/{code}",
    "/appeals/{number}/panel",
    "/appeals/{number}/psychological-notes",
    "/appeals/{number}/written",
    "/competence/answers",
    "/guides/{room}/{page_name}",
    "/questions/{person}",
    "/urgent-notifications/choice",
    "/workspace/colleagues",
    "/workspace/day",
}
#: Pages that say that there is nothing.
NOWHERE = {"/nowhere", "/invitations/{token}"}
#: How the addresses of files end, which are no pages either.
FILES = (".pdf", ".pem", ".py", ".txt", "/attachments/*", "/letter", "/receipt", "/scan", "/text")
#: It is in the language of the applicant, whoever prints it.
RECEIPT = "/appeals/{number}/receipt"
#: Pages of what the registered appeal alone has.
OF_REGISTERED = (RECEIPT, "/appeals/{number}/requests")
#: What pages show to others, and when they are asked for something.
MORE = (
    ("/", Role.KNOWLEDGE_EDITOR),
    ("/nowhere", Role.HEAD),
    ("/workspace", Role.CONSULTANT),  # who is no consultant yet
    ("/appeals/{number}", Role.CONSULTANT),
    ("/appeals/{number}", Role.SENIOR),  # a psychologist
    ("/appeals/{registered}", Role.HEAD),
    ("/appeals/{registered}/requests/{handed_over}", Role.CONSULTANT),
    ("/appeals/{extended}", Role.HEAD),  # a notice is owed, and letters wait
    ("/search?q=2600000001", Role.AUDITOR),
    ("/demands/{demand_number}", Role.RECORDS_OFFICER),
    ("/form/appeal/topics", Role.HEAD),
    ("/live", Role.ADMINISTRATOR),
    ("/live/queue?call={call}", Role.HEAD),
    ("/figures?since=2026-10-01&until=2026-10-31", Role.HEAD),
    ("/masking?kind=consultation&days=400", Role.RECORDS_OFFICER),
    ("/search?stage=closed", Role.HEAD),
    ("/search?q=zzz", Role.CONSULTANT),
    ("/work?list=cut_off", Role.HEAD),
    ("/work?list=overdue", Role.HEAD),
    ("/work?list=drafts", Role.CONSULTANT),
    ("/bodies/child_rights_71", Role.CONSULTANT),  # without a contact
    ("/competence?f.topics=bullying&f.topics=violence&f.region=710000000", Role.CONSULTANT),
)


def routes() -> list[tuple[str, Role | None]]:
    """Whatever people may ask for, and who does. Of machines are the API and the checks."""
    app = FastAPI(openapi_url=None)
    for room in (OWN, *web_modules()):
        for router in room.routers:
            app.include_router(router)
    return [
        (path, looker(permission))
        for path, methods, permission in route_permissions(app)
        if "GET" in methods and not path.startswith(("/api/", "/health/", "/static/"))
    ]


def own_of(role: Role | None) -> str | None:
    """The extension of whoever looks: of these roles the senior alone is a consultant here."""
    return "201" if role is Role.SENIOR else None


def values_of(site: Served, path: str) -> dict[str, str]:
    """What stands in the addresses; a new name needs its value here."""
    return {
        "number": site.registered if path.startswith(OF_REGISTERED) else site.call.number,
        "request_id": site.composed,
        "handed_over": site.handed_over,
        "file_name": "1.txt",
        "registered": site.registered,
        "extended": site.extended,
        "attachment_id": str(site.call.recording),  # nobody's
        "recording_id": str(site.call.recording),
        "preset_id": "00000000-0000-4000-8000-000000000001",
        "extension": BUSY,
        "user": SOMEBODY,
        "section": "appeal",
        "code": "content",
        "demand_number": site.demand,
        "call": WAITS,
        "token": "closed",
        "year": "2027",
        "body_code": "internal_affairs",
    }


PAGES = [*(each for each in routes() if each[0] not in NO_PAGES | PARTS), *MORE]


@pytest.mark.parametrize(("path", "role"), PAGES, ids=lambda value: str(value))
async def test_a_page_can_be_used_by_everybody_in_every_language(
    open_page: Open, site: Served, pytestconfig: pytest.Config, path: str, role: Role | None
) -> None:
    folder = pytestconfig.getoption("pictures")
    name = re.sub(r"\W+", "-", f"{path}-{role or ''}").strip("-")
    wrong = "404" if path in NOWHERE else None
    for language in LANGUAGES:
        async with open_page(role, language, extension=own_of(role), forgiven=wrong) as page:
            answer = await actor(page, path.format(**values_of(site, path)))
            assert answer.ok or wrong, f"{path} answers {answer.status}"
            picture = Path(folder) / f"{name}-{language}" if folder else None
            await look_at(page, "kk" if path == RECEIPT else language, picture)


async def test_no_page_is_left_out(site: Served) -> None:
    """Each template of a page is shown by a page that is looked at, here or by a deed."""
    shown = set()
    for path, role in PAGES:
        async with browser_of(site, role) as client:
            page = await client.get(path.format(**values_of(site, path)), follow_redirects=True)
        named = re.search(r'<body data-page="([^"]+)"', page.text)
        assert named is not None, path
        shown.add(named[1])
    folders = {"web": HERE / "templates"} | {room.name: room.templates for room in web_modules()}
    pages = {
        f"{room}/{file.name}"
        for room, folder in folders.items()
        for file in (folder.glob("*.html") if folder else ())
        if re.search("<html|extends ", file.read_text(encoding="utf-8"))
    }
    assert pages - shown - BY_ACTIONS == {"web/base.html"}


@pytest.mark.parametrize("role", Role)
async def test_nobody_is_led_where_they_may_not_go(site: Served, role: Role) -> None:
    """From the start on, by one link of each kind."""
    waiting, kinds = ["/", "/nowhere"], set[str]()
    async with browser_of(site, role) as client:
        while waiting:
            address = waiting.pop()
            answer = await client.get(address, follow_redirects=True)
            assert answer.is_success or address == "/nowhere", address
            assert 'action="/sign-out"' in answer.text, address
            for link in re.findall(r'<a\b[^>]* href="(/[^"#]*)', answer.text):
                kind = re.sub(r"[0-9a-f-]{36}|[0-9]+", "*", link.partition("?")[0])
                if kind not in kinds and not kind.endswith(FILES):
                    kinds.add(kind)
                    waiting.append(html.unescape(link))
    assert role in (Role.KNOWLEDGE_EDITOR, Role.STATE_BODY) or len(kinds) > 3


@pytest.mark.parametrize(("path", "role"), [each for each in routes() if each[0] in NO_PAGES])
async def test_what_is_no_page_gives_none(site: Served, path: str, role: Role | None) -> None:
    async with (
        browser_of(site, role) as client,
        client.stream("GET", path.format(**values_of(site, path))) as answer,
    ):
        assert not answer.is_success or "html" not in answer.headers["content-type"]


@asynccontextmanager
async def browser_of(
    site: Served, role: Role | None, extension: str | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """What speaks HTTP alone, signed in with that role."""
    token = await session_of(site.engine, role, extension or own_of(role)) if role else ""
    cookies = {"callcenter": token} if token else {}
    async with httpx.AsyncClient(base_url=site.origin, cookies=cookies, timeout=30) as client:
        yield client
