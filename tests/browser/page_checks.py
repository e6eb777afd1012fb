"""What every page must be, whoever made it: read at arm's length, in one language, by everybody."""

import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

from playwright.async_api import Page, ViewportSize

from callcenter.platform.core.i18n import LANGUAGES
from tests.browser.chromium import serious_faults
from tests.web.browser import visible
from tests.web.test_i18n import said_in, said_only_in

WIDE = ViewportSize(width=1366, height=768)  # what stands on the desks
LARGE = ViewportSize(width=1440, height=900)
NARROW = ViewportSize(width=390, height=844)  # a telephone

OPEN_ALL = "() => document.querySelectorAll('details').forEach((each) => { each.open = true; })"
#: Scripts that follow a size have done so: they run between the layout of a frame and its picture.
SETTLE = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
#: What the page has beside itself to the left or the right, where nobody can scroll to.
OUTSIDE = """() => [...document.querySelectorAll("body *")]
  .filter((each) => !each.closest(".scroll *, .skip, svg, option") && each.checkVisibility())
  .filter((each) => {
    const { left, right, width } = each.getBoundingClientRect();
    return width > 0 && (left < -1 || right > document.documentElement.clientWidth + 1);
  })
  .map((each) => each.outerHTML.slice(0, 200))"""
#: Words may be there too, which have no box of their own.
WIDER = """() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth > clientWidth ? [`something, ${scrollWidth} wide`] : [];
}"""
#: Tables that are wider than their place.
SCROLLED = """() => [...document.querySelectorAll(".scroll")]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => `${each.scrollWidth} of ${each.clientWidth}: ${each.innerText.slice(0, 200)}`)"""
#: Words of headings of tables that stand on two lines each.
BROKEN = r"""() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (!text.parentElement.closest("th")) continue;
    for (const { 0: word, index } of text.data.matchAll(/[\p{L}\p{N}]+/gu)) {
      const range = new Range();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (range.getClientRects().length > 1) found.push(word);
    }
  }
  return found;
}"""
#: Words that are smaller than 16 pixels.
SMALL = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && parseFloat(getComputedStyle(each).fontSize) < 16)
  .filter((each) => [...each.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((each) => each.outerHTML.slice(0, 200))"""
#: More than 200 KB were sent of the page and its files; not what it loads while somebody works.
HEAVY = """() => {
  const bytes = performance.getEntries()
    .filter(({ initiatorType }) => !["fetch", "xmlhttprequest"].includes(initiatorType))
    .reduce((sum, { encodedBodySize = 0 }) => sum + encodedBodySize, 0);
  return bytes > 200_000 ? [`${bytes} bytes`] : [];
}"""

WIDE_CHECKS = {
    "wider than its place": SCROLLED,
    "broken within the word": BROKEN,
    "smaller than 16 pixels": SMALL,
    "heavier than 200 KB": HEAVY,
}


async def look_at(page: Page, language: str, picture: Path | None = None) -> None:
    """Everything that is said here of a page holds for this one as it stands; pictures of it too.

    Afterwards its window is narrow, and whatever can be opened in it is open.
    """
    if picture is not None:
        await _take_pictures(page, picture)
    faults = [fault async for fault in _faults(page, language)]
    assert not faults, "\n".join([f"{page.url} in {language}:", *faults])


async def _faults(page: Page, language: str) -> AsyncIterator[str]:
    if (spoken := await page.locator("html").get_attribute("lang")) != language:
        yield f"it is in {spoken}"
    for word in foreign_words(await page.content(), language):
        yield f"foreign: {word}"
    await page.set_viewport_size(WIDE)
    for fault, script in WIDE_CHECKS.items():
        for each in await page.evaluate(script):
            yield f"{fault}: {each}"
    await page.evaluate(OPEN_ALL)
    for size in (WIDE, NARROW):
        await page.set_viewport_size(size)
        await page.evaluate(SETTLE)
        for each in [*await page.evaluate(OUTSIDE), *await page.evaluate(WIDER)]:
            yield f"outside at {size['width']}: {each}"
    for each in await serious_faults(page):
        yield f"serious: {each}"
    if language == "en":  # colours are the same in all
        await page.emulate_media(color_scheme="dark")
        for each in await serious_faults(page, "color-contrast"):
            yield f"at night: {each}"
        await page.emulate_media(color_scheme="light")


async def _take_pictures(page: Page, picture: Path) -> None:
    for name, size in (("wide", WIDE), ("narrow", NARROW)):
        await page.set_viewport_size(size)
        file = picture.with_name(f"{picture.name}-{name}.png")
        await page.screenshot(path=file, full_page=True, caret="initial")


@cache
def said_elsewhere(language: str) -> frozenset[str]:
    """What the pages say in other languages only."""
    own = " | ".join(str(text) for text in said_in(language))
    others = (other for other in LANGUAGES if other != language)
    said = (text for other in others for text in said_only_in(other, language))
    return frozenset(text for text in said if text not in own)  # may be a part of what is


def foreign_words(html: str, language: str) -> list[str]:
    html = re.sub(r"<(code|textarea)\b.*?</\1>", "", html, flags=re.S)  # data, not words of ours
    text = visible(html)
    # Looked for as text first: patterns by the thousand would be compiled for each page.
    found = [each for each in said_elsewhere(language) if each in text]
    return [each for each in found if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text)]
