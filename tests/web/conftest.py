"""A site on a real database, with an appeal and a recording in it, and people of every role."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.bootstrap.web import application, web_modules
from callcenter.consultants.tables import consultant
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store
from callcenter.platform.identity.passwords import hash_password
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.web.application import make_context
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing import sealed_store
from callcenter.recordings.sealing.audio import WRITTEN_AS
from callcenter.recordings.tables import recording
from callcenter.wallboard.live_feed import LiveFeed
from tests.orders import command_client
from tests.services import write_secrets

ORIGIN = "http://127.0.0.1:8000"
PASSWORD = "correct horse battery"
PASSWORD_HASH = hash_password(PASSWORD)
CALLER = "+77012345667"
CONSULTANT = "Айгүл Сапарова"
RECEIVED = datetime(2026, 11, 24, 9, 5, 9, 250_000, UTC)  # 14:05:09 in Asia/Almaty
OF_CALLER, OF_CONSULTANT = 440, 1000  # hertz: what is to be heard of either

Enter = Callable[[Role | None], AbstractAsyncContextManager[httpx.AsyncClient]]


@dataclass(frozen=True)
class Call:
    """What the register holds of one call."""

    id: UUID
    number: str
    recording: UUID
    audio: bytes


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return unfurnished(tmp_path_factory.mktemp("nowhere"))


def unfurnished(nowhere: Path) -> FastAPI:
    """The whole site, which reaches nothing yet: to make its routes takes a third of a second."""
    there = Settings(
        _env_file=None,
        var=nowhere,
        database_url=SecretStr("postgresql://nobody@/nowhere"),
        redis_url=SecretStr(f"unix://{nowhere}"),
    )
    write_secrets(there)
    made = application(there, open_database(there), open_redis(there))
    made.state.templates = made.state.site.templates
    return made


@pytest.fixture
def app(routes: FastAPI, settings: Settings, web_engine: AsyncEngine, web_redis: Redis) -> FastAPI:
    return furnished(routes, settings, web_engine, web_redis)


def furnished(routes: FastAPI, settings: Settings, engine: AsyncEngine, redis: Redis) -> FastAPI:
    """The routes with everything that they work with: the site of one test, until the next one.

    All sites of a process share the templates of the first, which are compiled once.
    """
    site = make_context(settings, engine, redis, web_modules())
    routes.state.site = replace(site, templates=routes.state.templates)
    routes.state.live_feed = LiveFeed(engine, redis, settings)
    routes.state.commands = command_client(redis)
    routes.state.answers.clear()
    return routes


def browse(app: FastAPI, **arguments: object) -> httpx.AsyncClient:
    """A browser at the site. An error that the site does not tell itself fails the test."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, **arguments)  # type: ignore[arg-type]


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of somebody who is not signed in."""
    async with browse(app) as client:
        yield client


async def add_user(engine: AsyncEngine, name: str, role: Role) -> store.User:
    async with unit_of_work(engine) as connection:
        await store.add_user(connection, name=name, role=role, password_hash=PASSWORD_HASH)
        user = await store.find_user(connection, name)
    assert user is not None
    return user


@pytest.fixture
def enter(app: FastAPI, engine: AsyncEngine) -> Enter:
    """`async with enter(role) as client`: a browser signed in with that role, or with none."""

    @asynccontextmanager
    async def enter(role: Role | None) -> AsyncIterator[httpx.AsyncClient]:
        async with browse(app) as client:
            if role is not None:
                user = await add_user(engine, f"{role.value}-{uuid4().hex[:8]}", role)
                token = new_token()
                async with unit_of_work(engine) as connection:
                    await store.begin_session(connection, user_id=user.id, token=token)
                client.cookies.set("callcenter", token)
            yield client

    return enter


@pytest.fixture
async def head(enter: Enter) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of the head, who may see and hear everything."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(enter(Role.HEAD))


async def open_call(engine: AsyncEngine, call_id: str, received_at: datetime) -> tuple[UUID, str]:
    identity = uuid4()
    async with unit_of_work(engine) as connection:
        number = await appeals.open_appeal(
            connection,
            appeal_id=identity,
            call_id=call_id,
            channel="call",
            caller_kind="number",
            caller_number=CALLER,
            received_at=received_at,
        )
    return identity, number


@pytest.fixture
async def call(settings: Settings, engine: AsyncEngine) -> Call:
    return await make_call(settings, engine)


async def make_call(
    settings: Settings, engine: AsyncEngine, stored_in: Format = Format.FLAC
) -> Call:
    """A talk in Russian of 47 seconds, with its moments and its recording in the store.

    Of that there is one second: the caller all the time, the consultant in the second half.
    """
    who, heard = uuid4(), uuid4()
    appeal_id, number = await open_call(engine, "call-1", RECEIVED)
    at = np.arange(8000) / 8000
    caller, consulting = (
        0.4 * np.sin(2 * np.pi * each * at) for each in (OF_CALLER, OF_CONSULTANT)
    )
    samples = np.column_stack([caller, consulting * (at >= 0.5)]).astype("float32")
    name = sealed_store.name_for(heard, RECEIVED, stored_in)
    file = BytesIO()
    soundfile.write(file, samples, 8000, **WRITTEN_AS[stored_in])
    settings.spool.mkdir(parents=True)
    sealed = sealed_store.SealedStore(settings).seal(file, name)
    ended = RECEIVED + timedelta(seconds=47)
    moments: list[tuple[int, str, dict[str, object]]] = [
        (0, "received", {}),
        (12, "answered", {}),
        (20, "greeting", {}),
        (4_100, "language", {"language": "ru", "how": "key"}),
        (9_000, "choice", {"choice": "consultant", "how": "key"}),
        (9_400, "ringing", {"consultant": "2001"}),
        (11_234, "connected", {"consultant": "2001"}),
        (47_000, "ended", {"outcome": "talked"}),
    ]
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=who, extension="2001", name=CONSULTANT, languages=["kk", "ru"], digest="-"
            )
        )
        await appeals.set_language(connection, appeal_id=appeal_id, language="ru")
        await appeals.set_consultant(connection, appeal_id=appeal_id, consultant_id=who)
        await appeals.add_events(
            connection,
            [
                appeals.EventRow(
                    appeal_id, seq, RECEIVED + timedelta(milliseconds=after), kind, detail
                )
                for seq, (after, kind, detail) in enumerate(moments, start=1)
            ],
        )
        await appeals.close_appeal(
            connection, appeal_id=appeal_id, outcome="talked", ended_at=ended
        )
        await connection.execute(
            insert(recording).values(
                id=heard,
                appeal_id=appeal_id,
                consultant_id=who,
                spool_name="x.raw",
                state="stored",
                started_at=RECEIVED + timedelta(seconds=12),
                ended_at=ended,
                store_name=name,
                duration_ms=35_000,
                **asdict(sealed),
            )
        )
    return Call(appeal_id, number, heard, file.getvalue())


@pytest.fixture
def feed(app: FastAPI) -> LiveFeed:
    found: LiveFeed = app.state.live_feed
    return found
