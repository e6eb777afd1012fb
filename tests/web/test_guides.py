"""The guide of each page, as pages load it: for each role, in each language."""

import re

import httpx
import pytest

from callcenter.bootstrap.web import web_modules
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.permissions import Role
from callcenter.platform.web.application import OWN
from tests.browser.page_checks import foreign_words
from tests.web.browser import visible
from tests.web.conftest import Enter

PAGES = [guide.page for room in (OWN, *web_modules()) for guide in room.guides]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_guide_is_in_one_language(enter: Enter, language: str) -> None:
    async with enter(Role.HEAD) as client:
        client.headers["accept-language"] = language
        for page in PAGES:
            guide = await client.get(address_of(page))
            assert guide.status_code == 200, page
            assert "<html" not in guide.text
            assert foreign_words(guide.text, language) == [], page
            if language != "en":
                words = re.sub("<kbd>.*?</kbd>", "", guide.text)
                words = re.sub(r"\b(?:Alt|Ctrl|Enter)\b", "", visible(words))
                assert not re.search("[a-z]{2}", words, re.I), page


async def test_a_guide_says_to_each_role_what_it_may_do(enter: Enter) -> None:
    said = {}
    for role in (Role.SENIOR, Role.ADMINISTRATOR):
        async with enter(role) as client:
            client.headers["accept-language"] = "en"
            guide = await client.get("/guides/wallboard/live")
            said[role] = guide.text
    assert "hand a caller out" in said[Role.SENIOR]
    assert "hand a caller out" not in said[Role.ADMINISTRATOR]
    assert "no calls of people" in said[Role.ADMINISTRATOR]
    assert "no calls of people" not in said[Role.SENIOR]


async def test_what_has_no_guide_is_not_found(enter: Enter, visitor: httpx.AsyncClient) -> None:
    async with enter(Role.HEAD) as client:
        for page in ("web/error", "wallboard/nothing", "%2e%2e/secrets", f"web/{'a' * 9_000}"):
            assert (await client.get(f"/guides/{page}")).status_code == 404
    guide = await visitor.get(address_of(PAGES[0]))
    assert guide.headers["location"].startswith("/sign-in")


def address_of(page: str) -> str:
    return f"/guides/{page.removesuffix('.html')}"
