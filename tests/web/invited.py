"""Following an invitation, as who got its link does."""

import re
from urllib.parse import urlsplit

import httpx

from tests.web.browser import form_token

CHOSEN = "a password of one's own"
_LINK = re.compile(r'id="link"[^>]* value="([^"]+)"')


def link_in(page: httpx.Response) -> str:
    """The path of the invitation that a page shows."""
    shown = _LINK.search(page.text)
    assert shown is not None
    return urlsplit(shown[1]).path


async def choose(
    client: httpx.AsyncClient,
    link: str,
    new: str = CHOSEN,
    again: str | None = None,
    **fields: str,
) -> httpx.Response:
    """Choose a password by an invitation."""
    token = await form_token(client, "/sign-in")
    both = {"new": new, "again": new if again is None else again}
    return await client.post(link, data={"form_token": token, **both, **fields})
