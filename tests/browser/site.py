"""The whole site as a process of its own, with people, appeals and a desk that lives."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.appeals.tables import appeal
from callcenter.consultants import store as consultants
from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.states import State
from callcenter.demands import deeds
from callcenter.demands.matching import Wanted
from callcenter.demands.states import Ground
from callcenter.demo import appeals as invented
from callcenter.recordings import keys
from callcenter.settings import Settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.storage.redis import open_redis
from callcenter.up.ports import free_port
from callcenter.web import store
from callcenter.web.permissions import Role
from callcenter.web.sessions import new_token
from tests.demands.conftest import HEAD, OFFICER, filing
from tests.services import new_folder
from tests.web.browser import form_token
from tests.web.conftest import RECEIVED, Call, add_user, make_call, open_call
from tests.web.live import line, waiting
from tests.web.promised import owe
from tests.web.somebody import (
    block_somebody,
    key_of_somebody,
    plan_for_somebody,
)
from tests.web.test_commands import serving, wait_until_ready
from tests.web.test_cut_off import cut
from tests.web.test_hang_ups import hang_up
from tests.web.test_records import WHOLE, send

SOMEBODY = "somebody"  # who may sign in
CREW = ("201", "202", "203")
LONGEST_NAME = "Нұрсұлтангүл Әбдірахманқызы Құдайбергенова-Сыздықбайжұмабаева"
BUSY = "204"  # who talks with a caller for as long as the tests look
DIGEST = "0123456789abcdef" * 2


@dataclass
class Served:
    """A site that answers at `origin`."""

    origin: str
    settings: Settings
    engine: AsyncEngine
    redis: Redis
    desk: Desk
    call: Call
    registered: str  #: number of an appeal whose record is registered
    extended: str  #: of one whose term was put off; the applicant is to be told
    demand: str  #: number of a demand


async def session_of(engine: AsyncEngine, role: Role, extension: str | None = None) -> str:
    """The secret of a browser in which somebody new of this role has signed in."""
    user = await add_user(engine, f"{role.value}-{uuid4().hex[:8]}", role)
    token = new_token()
    async with unit_of_work(engine) as connection:
        if extension is not None:
            await connection.exec_driver_sql(
                "UPDATE web_user SET consultant_id = NULL WHERE consultant_id ="
                " (SELECT id FROM consultant WHERE extension = %s)",
                (extension,),
            )
            consultant_id = await consultants.id_of(connection, extension)
            await store.link_consultant(connection, name=user.name, consultant_id=consultant_id)
        await store.begin_session(connection, user_id=user.id, token=token)
    return token


@asynccontextmanager
async def open_site(folder: Path, database: str, redis_url: str) -> AsyncIterator[Served]:
    """A site with something on every page: a call heard to its end, people who wait, lists."""
    folder = new_folder(folder)
    settings = Settings(
        _env_file=None,
        var=folder / "var",
        recordings=folder / "recordings",
        database_url=SecretStr(database),
        redis_url=SecretStr(redis_url),
        web_port=free_port(),
        sign_in_required=True,
    )
    keys.make(settings.keys)
    engine, redis = open_database(settings), open_redis(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        stack.push_async_callback(redis.aclose)
        await redis.flushdb()
        await invented.load(settings, 60, 111, datetime.now(UTC), lambda _: None)
        call = await make_call(settings, engine)
        _, registered = await open_call(engine, "call-2", RECEIVED)
        _, extended = await open_call(engine, "call-5", RECEIVED)
        demand = await _fill(engine, call)
        async with unit_of_work(engine) as connection:
            crew = await consultants.active(connection)
        desk = await stack.enter_async_context(line(redis, settings, "line-1", *crew))
        for since, urgent in ((75.0, False), (9.0, True)):
            # Nobody here speaks their language: they wait for as long as the tests look at them.
            await stack.enter_async_context(waiting(desk, "kk", since, urgent=urgent))
        await stack.enter_async_context(talking(desk, redis, settings))
        origin = stack.enter_context(running_site(settings, folder))
        site = Served(origin, settings, engine, redis, desk, call, registered, extended, demand)
        await _work(site)
        yield site


@asynccontextmanager
async def talking(desk: Desk, redis: Redis, settings: Settings) -> AsyncIterator[None]:
    """A conversation, which a supervisor may be with."""
    await DutyDesk(redis, settings).ask(BUSY, State.READY, by="self")
    async with desk.place("call-3", "ru") as place:
        assert await place.offer(20) is not None
        place.answered()
        yield


async def _work(site: Served) -> None:
    """Fill in a record, register it and deal with it, as people do."""
    cookies = {"callcenter": await session_of(site.engine, Role.HEAD)}
    async with httpx.AsyncClient(base_url=site.origin, cookies=cookies, timeout=30) as client:
        await send(client, site.registered, version=0, **WHOLE, **{"f.danger": "yes"})
        answer = await send(client, site.registered, "move", version=1, after="registered")
        assert answer.status_code == 303, answer.text
        await _extend(client, site.extended)
        tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}"
        record = f"/appeals/{site.registered}/record"
        recording = f"/recordings/{site.call.recording}"
        token = await form_token(client, "/appeals")
        for path, typed in (
            (f"{record}/remind", {"at": tomorrow, "about": "Спросить школу"}),
            (f"{recording}/erasure", {"reason": "Просьба заявителя", "order": "03-2/118"}),
            (f"{recording}/hold", {"order": "Постановление суда № 17 от 20.11.2026"}),
            ("/masking", {"kind": "consultation", "days": "400", "reason": "Приказ № 12"}),
        ):
            answer = await client.post(path, data=typed | {"form_token": token})
            assert answer.status_code == 303, (path, answer.text)
        answer = await client.post(
            f"/appeals/{site.registered}/attachments",
            data={"form_token": token},
            files={"file": ("Справка о составе семьи.txt", b"word")},
        )
        assert answer.status_code == 303, answer.text


async def _extend(client: httpx.AsyncClient, number: str) -> None:
    """Put a term off, and write to a body and to the applicant, as people do."""
    today = datetime.now(UTC).date()
    until = {"until": f"{today + timedelta(days=30)}", "reason": "Запрошены документы"}
    whole = WHOLE | {"f.applicant.name": "Омарова Сәуле"}
    asked = {
        "direction": "out",
        "kind": "request",
        "party": "state_body",
        "whom": "Управление образования",
        "number": "03-2/118",
        "dated": f"{today}",
        "about": "Справка о ребёнке",
        "answer_due_on": f"{today + timedelta(days=1)}",
    }
    notice = asked | {"kind": "letter", "party": "applicant", "number": "03-2/119"}
    notice |= {"whom": "Омарова Сәуле", "about": "О продлении срока", "answer_due_on": ""}
    for deed, values in (
        ("record", {"version": "0", **whole}),
        ("record/move", {"version": "1", "after": "registered"}),
        ("record/extend", {"version": "2", **until}),
        ("letters", asked),
        ("letters", notice),
    ):
        token = await form_token(client, "/appeals")
        answer = await client.post(
            f"/appeals/{number}/{deed}", data={"form_token": token, **values}
        )
        assert answer.status_code == 303, (deed, answer.text)


async def _fill(engine: AsyncEngine, call: Call) -> str:
    """Something on the pages of lists; returns the number of a demand."""
    async with unit_of_work(engine) as connection:
        for extension in (*CREW, BUSY):
            await consultants.add(
                connection,
                extension=extension,
                name=LONGEST_NAME if extension == CREW[-1] else "Сәуле Ким",
                languages=["ru"],
                digest=DIGEST,
            )
    await add_user(engine, SOMEBODY, Role.CONSULTANT)
    await plan_for_somebody(engine)
    await block_somebody(engine)
    await owe(engine, call)
    await key_of_somebody(engine)
    await hang_up(engine, call)
    cut_off, _ = await open_call(engine, "call-4", RECEIVED)
    await cut(engine, replace(call, id=cut_off))
    async with unit_of_work(engine) as connection:
        talked = appeals.EventRow(cut_off, 1, RECEIVED, "connected", {"consultant": "2001"})
        await appeals.add_events(connection, [talked])
        await connection.execute(
            update(appeal).where(appeal.c.id == cut_off).values(caller_number="+77012340000")
        )
    await open_call(engine, "call-3", datetime.now(UTC))
    refused = await deeds.register(engine, OFFICER, filing(letter_number="03-2/116"))
    ground = Ground.NOT_OF_CONSULTANT
    await deeds.refuse(engine, HEAD, refused.number, refused.version, ground, "Звонка не было")
    wanted = Wanted(appeal_number=call.number)
    return (await deeds.register(engine, OFFICER, filing(wanted=wanted))).number


@contextmanager
def running_site(settings: Settings, folder: Path) -> Iterator[str]:
    """The process that serves the pages, and its address."""
    told, log = folder / "ready.sock", folder / "web.log"
    environment = {"NOTIFY_SOCKET": str(told)}
    for name in ("database_url", "redis_url"):
        environment[f"CALLCENTER_{name.upper()}"] = getattr(settings, name).get_secret_value()
    for name in ("var", "recordings", "web_port", "sip_port", "ari_port"):
        environment[f"CALLCENTER_{name.upper()}"] = str(getattr(settings, name))
    environment["CALLCENTER_SIGN_IN_REQUIRED"] = json.dumps(settings.sign_in_required)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(told))
        with serving(environment, log) as process:
            wait_until_ready(receiver, process, log)
            yield f"http://127.0.0.1:{settings.web_port}"
