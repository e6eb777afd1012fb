"""Pictures of the guides: of each, the real page still says what it said when it was taken.

`make pictures` takes them anew. What is compared are words that frame a page (headings, labels,
buttons, columns), not pixels: those differ by fonts and by the day. It is a site of its own, for
other tests change theirs.
"""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from callcenter.bootstrap.web import web_modules
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.identity.permissions import Role
from callcenter.platform.web.application import OWN
from tests.browser.chromium import actor
from tests.browser.conftest import pages_of
from tests.browser.site import BUSY, Served, open_site
from tests.browser.test_pages import browser_of, values_of
from tests.services import new_database, new_folder, redis_server

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.timeout(400),  # `make pictures` on a busy machine
]

#: Of which address the picture of a page is taken, and as whom.
PICTURED = {
    "users/users.html": ("/users", Role.ADMINISTRATOR),  # before others are added to look at pages
    "appeals/appeal.html": ("/appeals/{registered}", Role.CONSULTANT),
    "appeals/masking.html": ("/masking", Role.HEAD),
    "appeals/recording.html": ("/recordings/{recording_id}", Role.HEAD),
    "appeals/search.html": ("/search", Role.CONSULTANT),
    "appeals/work.html": ("/work", Role.CONSULTANT),
    "audit_log/log.html": ("/audit", Role.AUDITOR),
    "blocklist/blocked.html": ("/blocked", Role.SENIOR),
    "callbacks/callbacks.html": ("/promises", Role.SENIOR),
    "care_plans/care_plans.html": ("/plans", Role.SENIOR),
    "consultants/consultants.html": ("/consultants", Role.ADMINISTRATOR),
    "demands/authority.html": ("/authority/demands", Role.AUTHORITY),
    "demands/demand.html": ("/demands/{demand_number}", Role.HEAD),
    "demands/demands.html": ("/demands", Role.RECORDS_OFFICER),
    "recordings/erasures.html": ("/erasures", Role.RECORDS_OFFICER),
    "wallboard/alerts.html": ("/live/alarms", Role.SENIOR),
    "wallboard/consultant.html": ("/live/consultants/{extension}", Role.HEAD),
    "wallboard/live.html": ("/live", Role.SENIOR),
    "wallboard/queue.html": ("/live/queue?call={call}", Role.SENIOR),
    "workspace/workspace.html": ("/workspace", Role.CONSULTANT),
}
#: The words of each page when its picture was taken, as a hash, by the file's name.
WORDS = Path(__file__).with_name("guide_pictures.json")
WINDOW = ViewportSize(width=1280, height=720)
SCALE = 0.66
QUALITY = 50  # of WebP: 100 is the best
#: The page without what is the same everywhere; all of it where its own bar belongs to it.
PLACE = """() => {
  const place = document.querySelector(".workbar") ? document.body : document.querySelector("main");
  const { x, y, width, height } = place.getBoundingClientRect();
  return { x, y, width, height: Math.min(height, innerHeight - y) };
}"""
FRAMING = {"h1", "h2", "h3", "legend", "label", "th", "summary", "button"}
#: What is within is data, or time.
PASSING = {"tbody", "li", "dd", "time", "option"}
WITHOUT_END = {"br", "hr", "img", "input", "link", "meta"}


class FramingWords(HTMLParser):
    """Words of the main part of a page that frame it, whatever data is on it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._inside: list[str] = []
        self._said = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in WITHOUT_END:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass  # ended by it
        if tag in FRAMING and self._said:
            self.found.add(re.sub(r"[\d\s]+", " ", self._said).strip())
            self._said = ""

    def handle_data(self, data: str) -> None:
        inside = set(self._inside)
        if "main" in inside and inside & FRAMING and not inside & PASSING:
            self._said += data


async def test_each_picture_shows_its_page_as_it_is(
    browser: Browser,
    short_folder: Path,
    postgres: Path,
    pytestconfig: pytest.Config,
) -> None:
    is_to_take = pytestconfig.getoption("guide_pictures")
    current, pictures = dict[str, str](), dict[Path, bytes]()
    async with fresh_site(short_folder, postgres) as site:
        for page, (path, role) in PICTURED.items():
            address = path.format(**values_of(site, path))
            async with browser_of(site, role, extension_for(page)) as client:
                for language in LANGUAGES:
                    client.headers["accept-language"] = language
                    answer = await client.get(address)
                    assert f'data-page="{page}"' in answer.text, address
                    words = sorted(FramingWords(answer.text).found)
                    assert len(words) > 1, address
                    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
                    current[picture_of(page, language).name] = digest[:16]
            for language in LANGUAGES if is_to_take else ():
                opened = pages_of(browser, site)(role, language, extension=extension_for(page))
                async with opened as tab:
                    await actor(tab, address)
                    pictures[picture_of(page, language)] = await take_picture(tab)
    if is_to_take:
        store(pictures, current)
    taken = json.loads(words_when_taken())
    assert current.keys() == taken.keys()
    stale = sorted(name for name in current if current[name] != taken.get(name))
    assert stale == [], "these pages have changed: make pictures, and look at them"


def extension_for(page: str) -> str | None:
    """The extension of the consultant whose page it is: one who talks."""
    return BUSY if page == "workspace/workspace.html" else None


def picture_of(page: str, language: str) -> Path:
    """The file that the guide of this page shows."""
    name = page.partition("/")[0]
    room = next(each for each in (OWN, *web_modules()) if each.name == name)
    guide = next(each for each in room.guides if each.page == page)
    assert room.static is not None, f"{name} has no folder of static files"
    return room.static / guide.picture(language)


def words_when_taken() -> str:
    return WORDS.read_text(encoding="utf-8")


def store(pictures: dict[Path, bytes], words: dict[str, str]) -> None:
    for file, content in pictures.items():
        file.write_bytes(content)
    WORDS.write_text(json.dumps(words, indent=1, sort_keys=True) + "\n", encoding="utf-8")


async def take_picture(page: Page) -> bytes:
    await page.set_viewport_size(WINDOW)
    loaded = page.locator("#appeal[hx-get] > #appeal-panel")
    await expect(loaded).to_have_count(await page.locator("#appeal[hx-get]").count())
    place = await page.evaluate(PLACE)
    tools = await page.context.new_cdp_session(page)
    taken = await tools.send(
        "Page.captureScreenshot",
        {"format": "webp", "quality": QUALITY, "clip": {**place, "scale": SCALE}},
    )
    return base64.b64decode(taken["data"])


@asynccontextmanager
async def fresh_site(short_folder: Path, postgres: Path) -> AsyncIterator[Served]:
    with (
        redis_server(new_folder(short_folder / "pictures-redis")) as redis,
        new_database(postgres) as database,
    ):
        async with open_site(short_folder / "pictures", database, f"{redis}?db=0") as site:
            yield site
