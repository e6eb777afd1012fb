"""The second act of the demo: somebody writes on the portal, and intake has it."""

import re
from collections.abc import Callable, Mapping

import aiohttp

from callcenter.appeals.calls import store as appeals
from callcenter.demo.demo_run import wait_until
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import run_once_in_transaction

TEXT = "Меня обижают в школе. Что мне делать?"
_TOKEN = re.compile(r'name="form" value="(\w+)"')
_RECEIPT = re.compile(r'class="receipt">(\d+)<br>([^<]+)<')


async def write_message(settings: Settings, say: Callable[[str], None]) -> list[str]:
    """Write on the portal, wait for the appeal, and open what was written; lines to show.

    Raises OperationFailed that names the missing step.
    """
    async with aiohttp.ClientSession(
        f"http://{settings.portal_address}:{settings.portal_port}",
        headers={"Host": settings.portal_host},
    ) as browser:
        [token] = await _find(browser, "/ru", _TOKEN)
        number, words = await _find(browser, "/ru", _RECEIPT, {"form": token, "text": TEXT})
        say(f"somebody has written on the portal, and has a receipt: {number}, {words}")

        async def is_taken() -> bool:
            row = await run_once_in_transaction(settings, lambda each: appeals.find(each, number))
            return row is not None

        await wait_until(is_taken, "what was written has its appeal")
        typed = {"number": number, "words": words}
        await _find(browser, "/ru/r", re.compile(re.escape(TEXT)), typed)
        say("its number and words have opened what was written")
    shown = {"message": f"appeal {number}, portal, ru", "receipt": words}
    return [f"{name:>12}  {value}" for name, value in shown.items()]


async def _find(
    browser: aiohttp.ClientSession,
    path: str,
    pattern: re.Pattern[str],
    form: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """The groups of the pattern in a page, to which a form is sent if one is given."""
    request = browser.get(path) if form is None else browser.post(path, data=form)
    async with request as answer:
        found = pattern.search(await answer.text())
    if found is None:
        raise OperationFailed(f"the demo failed: {path} of the portal answers {answer.status}")
    return found.groups()
