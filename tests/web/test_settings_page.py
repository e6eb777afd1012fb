"""The page of the effective settings."""

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.identity.permissions import Role
from tests.web.browser import visible
from tests.web.conftest import Enter


async def test_settings_are_found_and_shown_without_secrets(
    enter: Enter, engine: AsyncEngine
) -> None:
    async with enter(Role.ADMINISTRATOR) as client:
        client.headers["accept-language"] = "en"
        whole = (await client.get("/settings")).text
        found = visible((await client.get("/settings", params={"text": "ring_timeout"})).text)
        changed = (await client.get("/settings", params={"changed": "true"})).text
        nothing = visible((await client.get("/settings", params={"text": "no such"})).text)
    assert "CALLCENTER_RING_TIMEOUT" in found
    assert "CALLCENTER_WEB_PORT" not in found
    assert "set, and secret" in visible(whole)
    assert str(engine.url.database) not in whole, "it stands in an address with a password"
    assert whole.count("<tr>") > changed.count("<tr>") > 1
    assert "No setting fits." in nothing
