"""The portal as its process has it: its role in the database, and the public key of intake."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.intake.drivers.portal.opening import PORTAL, publish_key
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.portal.pages import portal_application
from callcenter.recordings.sealing import keys
from tests.services import opened_as

HOST = "http://localhost"
TOKEN = re.compile(r'name="form" value="(\w+)"')
RECEIPT = re.compile(r'class="receipt">(\d+)<br>([^<]+)<')


@dataclass(frozen=True)
class Visitor:
    """A browser without scripts."""

    client: httpx.AsyncClient

    async def token(self, language: str = "ru") -> str:
        """The token of a form that is shown."""
        return found(TOKEN, await self.client.get(f"/{language}"))[0]

    async def send(
        self, text: str, token: str | None = None, language: str = "ru", **more: str
    ) -> httpx.Response:
        """Send a form, another one unless its token is given."""
        data = {"form": token or await self.token(language), "text": text, **more}
        return await self.client.post(f"/{language}", data=data)

    async def write(self, text: str, token: str | None = None, **more: str) -> tuple[str, str]:
        """Send a form; number and words of the receipt."""
        number, words = found(RECEIPT, await self.send(text, token, **more))
        return number, words

    async def open(self, number: str, words: str, language: str = "ru") -> httpx.Response:
        """Ask for what was written."""
        data = {"number": number, "words": words}
        return await self.client.post(f"/{language}/r", data=data)


def found(pattern: re.Pattern[str], answer: httpx.Response) -> tuple[str, ...]:
    """What the pattern finds in a page that was answered."""
    assert answer.status_code == 200
    match = pattern.search(answer.text)
    assert match is not None
    return match.groups()


def visitor_of(settings: Settings, engine: AsyncEngine) -> Visitor:
    """A visitor of a portal with this engine."""
    app = portal_application(settings, engine)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return Visitor(httpx.AsyncClient(transport=transport, base_url=HOST))


@pytest.fixture
def sealed_to_intake(settings: Settings) -> None:
    """The key of intake, whose public part the portal has."""
    keys.make(settings.keys, PORTAL)
    publish_key(settings)


@pytest.fixture
async def visitor(
    database: str, settings: Settings, sealed_to_intake: None
) -> AsyncIterator[Visitor]:
    async with opened_as(DatabaseRole.PORTAL, settings) as engine:
        visitor = visitor_of(settings, engine)
        async with visitor.client:
            yield visitor


@pytest.fixture
def worker(settings: Settings, worker_engine: AsyncEngine) -> WorkerResources:
    return WorkerResources(settings, worker_engine)
