"""Every page in the browser, in every language: it can be used by whoever cannot see it well, it
says nothing in another language, its scripts do not fail, and it fits its window."""

import re
from functools import cache
from pathlib import Path

import pytest
from fastapi import FastAPI

from callcenter.commands.web import ROOMS
from callcenter.web.access import demands
from callcenter.web.application import OWN
from callcenter.web.permissions import GRANTS, Permission, Role
from callcenter.web.words import LANGUAGES
from tests.browser.chromium import is_wider_than_its_window, serious_faults, visit
from tests.browser.conftest import Open
from tests.browser.site import SOMEBODY, Served
from tests.web.browser import visible
from tests.web.test_words import said_in, said_only_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Routes of people that give no page.
NO_PAGES = re.compile(
    r"/api/|/health/|/static/|/duty/telephone|/sign-in/provider"
    r"|.*/(events|scan|letter)$|.*/attachments/|.*\.(pem|pdf)$"
)
#: It is in the language of the applicant, whoever prints it.
RECEIPT = "/appeals/{number}/receipt"
#: Who looks at a page, of those who may: whoever sees most of it first.
WHO = (Role.HEAD, Role.SENIOR, Role.CONSULTANT, Role.ADMINISTRATOR, Role.AUTHORITY)


def pages() -> list[tuple[str, Role | None]]:
    app = FastAPI(openapi_url=None)
    for room in (OWN, *ROOMS):
        for router in room.routers:
            app.include_router(router)
    return [
        (path, who(permission))
        for path, methods, permission in demands(app)
        if "GET" in methods and not NO_PAGES.match(path)
    ]


def who(permission: Permission) -> Role | None:
    if permission is Permission.OPEN:
        return None
    return next(role for role in WHO if permission in GRANTS[role])


@cache
def said_elsewhere(language: str) -> frozenset[str]:
    """What the pages say in other languages only."""
    own = " | ".join(str(text) for text in said_in(language))
    others = (other for other in LANGUAGES if other != language)
    said = (text for other in others for text in said_only_in(other, language))
    return frozenset(text for text in said if text not in own)  # may be a part of what is


def foreign_words(html: str, language: str) -> list[str]:
    text = visible(re.sub(r"<code>.*?</code>", "", html))
    # Looked for as text first: patterns by the thousand would be compiled for each page.
    found = [each for each in said_elsewhere(language) if each in text]
    return [each for each in found if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text)]


@pytest.mark.parametrize(("path", "role"), pages(), ids=lambda value: str(value))
async def test_a_page_can_be_used_by_everybody_in_every_language(
    open_page: Open, site: Served, pytestconfig: pytest.Config, path: str, role: Role | None
) -> None:
    values = {
        "number": site.registered if path == RECEIPT else site.call.number,
        "recording_id": site.call.recording,
        "extension": "201",
        "user": SOMEBODY,
        "section": "appeal",
        "code": "content",
        "demand_number": site.demand,
    }
    own = "201" if role in (Role.SENIOR, Role.CONSULTANT) else None
    for language in LANGUAGES:
        async with open_page(role, language, extension=own) as page:
            answer = await visit(page, path.format(**values))
            assert answer.ok, f"{path} answers {answer.status}"
            if folder := pytestconfig.getoption("pictures"):
                name = re.sub(r"\W+", "-", path).strip("-") or "home"
                await page.screenshot(path=Path(folder) / f"{name}-{language}.png", full_page=True)
            spoken = "kk" if path == RECEIPT else language
            assert await page.locator("html").get_attribute("lang") == spoken
            assert foreign_words(await page.content(), spoken) == []
            assert await serious_faults(page) == []
            assert not await is_wider_than_its_window(page), f"{path} in {language}"
