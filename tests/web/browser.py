"""What a browser does with a page, for tests."""

import re
from html import unescape

import httpx

from callcenter.platform.identity.permissions import Permission, Role, SessionPermission

FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')

#: Who looks at a page, of those who may: whoever sees most of it first.
LOOKERS = (
    Role.HEAD,
    Role.SENIOR,
    Role.CONSULTANT,
    Role.ADMINISTRATOR,
    Role.AUTHORITY,
    Role.RECORDS_OFFICER,
)


def looker(permission: Permission) -> Role | None:
    """Who looks at a page of this permission; nobody signed in, where that is enough."""
    if permission is SessionPermission.OPEN:
        return None
    return next(role for role in LOOKERS if role in permission.granted_to)


async def form_token(client: httpx.AsyncClient, page: str = "/sign-in") -> str:
    """The token that the forms of a page carry."""
    found = FORM_TOKEN.search((await client.get(page, follow_redirects=True)).text)
    assert found is not None
    return found[1]


async def sign_in(client: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    """Fill in the sign-in form and send it."""
    token = await form_token(client)
    return await client.post(
        "/sign-in", data={"name": name, "password": password, "form_token": token}
    )


def visible(html: str) -> str:
    """What a person may read or hear of a page: text and spoken attributes, without markup and
    without the switch of languages, whose names are each in their own."""
    html = re.sub(r'<form[^>]*class="languages".*?</form>', "", html, flags=re.S)
    spoken = " ".join(re.findall(r'(?:aria-label|alt|title|placeholder)="([^"]*)"', html))
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)) + " " + spoken)
