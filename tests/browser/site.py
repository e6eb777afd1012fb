"""The whole site as a process of its own, with people, appeals and a running distributor."""

import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.consultants import store as consultants
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.demands import service
from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.states import RefusalGround
from callcenter.demo import seed_appeals as invented
from callcenter.launcher.port_check import free_port
from callcenter.launcher.process_plan import sandbox_of
from callcenter.launcher.sandbox import can_confine
from callcenter.platform.audit import store as audit
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity import store
from callcenter.platform.identity.permissions import Role
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.monitoring.alerts import raise_alert
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.redis import open_redis
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.sealing import keys
from callcenter.recordings.tables import recording
from callcenter.telephony.acd.alerts import CALLBACK_OVERDUE, URGENT_WAITS
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.callers.sealed_numbers import store as sealed_numbers
from callcenter.telephony.reconciliation.store import count_refused
from tests.demands.conftest import HEAD, OFFICER, demand_form
from tests.services import new_folder, write_secrets
from tests.web.browser import form_token
from tests.web.callback_factories import leave_message, owe
from tests.web.conftest import RECEIVED, Call, add_user, make_call, open_call
from tests.web.factories import block_somebody, key_of_somebody, plan_for_somebody
from tests.web.live import line, waiting
from tests.web.test_commands import serving, wait_until_ready
from tests.web.test_dropped_calls import cut
from tests.web.test_records import WHOLE, send

SOMEBODY = "somebody"  # who may sign in
CREW = ("201", "202", "203")
LONGEST_NAME = "Нұрсұлтангүл Әбдірахманқызы Құдайбергенова-Сыздықбайжұмабаева"
BUSY = "204"  # who talks with a caller for as long as the tests look
WAITS = "call-9"  # a caller in danger, for as long as the tests look
DIGEST = "0123456789abcdef" * 2


@dataclass
class Served:
    """A site that answers at `origin`."""

    origin: str
    settings: Settings
    engine: AsyncEngine
    redis: Redis
    distributor: RedisCallDistributor
    call: Call
    registered: str  #: number of an appeal whose record is registered
    extended: str  #: of one whose term was put off; the applicant is to be told
    demand: str  #: number of a demand
    composed: str = ""  #: id of a request of `registered` that is being composed
    handed_over: str = ""  #: of another one, which a body has


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
    write_secrets(settings)
    engine, redis = open_database(settings), open_redis(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        stack.push_async_callback(redis.aclose)
        await redis.flushdb()
        await invented.load(settings, 60, 111, datetime.now(UTC), lambda _: None)
        call = await make_call(settings, engine)
        _, registered = await open_call(engine, "call-2", RECEIVED)
        _, extended = await open_call(engine, "call-5", RECEIVED)
        await open_call(engine, WAITS, RECEIVED)
        async with unit_of_work(engine) as connection:
            in_danger = update(appeal).where(appeal.c.call_id == WAITS)
            await connection.execute(in_danger.values(urgent=["danger"], language="kk"))
        demand = await _fill(engine, call)
        async with unit_of_work(engine) as connection:
            crew = await consultants.active(connection)
        distributor = await stack.enter_async_context(line(redis, settings, "line-1", *crew))
        for since, urgent, call_id in ((75.0, False, None), (9.0, True, WAITS)):
            # Nobody here speaks their language: they wait for as long as the tests look at them.
            await stack.enter_async_context(
                waiting(distributor, "kk", since, urgent=urgent, call=call_id)
            )
        await raise_alert(redis, URGENT_WAITS, "kk", about=f"urgent:{WAITS}")
        await raise_alert(redis, CALLBACK_OVERDUE, "kk")
        await stack.enter_async_context(talking(distributor, redis, settings))
        origin = stack.enter_context(running_site(settings, folder))
        site = Served(
            origin, settings, engine, redis, distributor, call, registered, extended, demand
        )
        await _work(site)
        yield site


@asynccontextmanager
async def talking(
    distributor: RedisCallDistributor, redis: Redis, settings: Settings
) -> AsyncIterator[None]:
    """A conversation, which a supervisor may be with."""
    await PresenceService(redis, settings).ask(BUSY, PresenceState.READY, by="self")
    async with distributor.place("call-3", "ru") as place:
        assert await place.wait_for_offer(20) is not None
        place.mark_answered()
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
        token = await form_token(client, "/search")
        for path, typed in (
            (f"{record}/remind", {"at": tomorrow, "about": "Спросить школу"}),
            (f"{recording}/erasure", {"reason": "Просьба заявителя", "order": "03-2/118"}),
            (f"{recording}/hold", {"order": "Постановление суда № 17 от 20.11.2026"}),
            (f"/appeals/{site.call.number}/sealed-number", {"reason": "Сказала, что у него нож"}),
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
        site.composed = await _request(client, site.registered, "internal_affairs", "order")
        site.handed_over = await _request(client, site.registered, "justice", "legal")
        path = f"/appeals/{site.registered}/requests/{site.handed_over}"
        page = (await client.get(path)).text
        sha256 = re.findall(r'name="sha256" value="(\w+)"', page)
        await _answer(client, f"{path}/ready", version=2, sha256=sha256)
        proof = {"reference": "ЗТ-2026-0117", "dated": f"{datetime.now(ZONE):%Y-%m-%d}"}
        await _answer(client, f"{path}/steps", version=3, step="sent", **proof)


async def _request(client: httpx.AsyncClient, number: str, body: str, direction: str) -> str:
    """Begin and compose a request to a body, with something to be cleared; returns its id."""
    path = f"/appeals/{number}/requests"
    begun = await _answer(client, path, body=body, direction=direction, language="ru")
    address = begun.headers["location"]
    words = "Просим проверить. Телефон школы 8 7172 27 15 40."
    cleared = ["telephone:8 7172 27 15 40"] if body == "justice" else []
    chosen = {"field": ["content", "applicant.name"], "cleared": cleared}
    await _answer(client, address, version=1, words=words, **chosen)
    return str(address.rpartition("/")[2])


async def _answer(client: httpx.AsyncClient, path: str, **values: Any) -> httpx.Response:
    """Send a form that is not refused."""
    token = await form_token(client, "/search")
    answer = await client.post(path, data={"form_token": token, **values})
    assert answer.status_code == 303, (path, answer.text)
    return answer


async def _extend(client: httpx.AsyncClient, number: str) -> None:
    """Put a term off, and write to a body and to the applicant, as people do."""
    today = datetime.now(UTC).date()
    until = {"until": f"{today + timedelta(days=30)}", "reason": "Запрошены документы"}
    whole = WHOLE | {"f.applicant.name": "Омарова Сәуле"}
    requested = {
        "direction": "out",
        "kind": "request",
        "party": "state_body",
        "whom": "Управление образования",
        "number": "03-2/118",
        "dated": f"{today}",
        "about": "Справка о ребёнке",
        "answer_due_on": f"{today + timedelta(days=1)}",
    }
    notice = requested | {"kind": "letter", "party": "applicant", "number": "03-2/119"}
    notice |= {"whom": "Омарова Сәуле", "about": "О продлении срока", "answer_due_on": ""}
    for action, values in (
        ("record", {"version": "0", **whole}),
        ("record", {"version": "1", "after": "registered", **whole}),
        ("record/extend", {"version": "2", **until}),
        ("letters", requested),
        ("letters", notice),
    ):
        token = await form_token(client, "/search")
        answer = await client.post(
            f"/appeals/{number}/{action}", data={"form_token": token, **values}
        )
        assert answer.status_code == 303, (action, answer.text)


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
        await consultants.set_skills(connection, CREW[0], {"psychologist": 3})
    await add_user(engine, SOMEBODY, Role.CONSULTANT)
    await plan_for_somebody(engine)
    await block_somebody(engine)
    await owe(engine, call)
    await leave_message(engine, call)
    await key_of_somebody(engine)
    async with unit_of_work(engine) as connection:
        until = datetime.now(UTC) + timedelta(days=3)
        await sealed_numbers.add(
            connection, appeal_id=call.id, sealed=b"age", basis="-", until=until
        )
    cut_off, _ = await open_call(engine, "call-4", RECEIVED)
    await cut(engine, replace(call, id=cut_off))
    async with unit_of_work(engine) as connection:
        talked = appeals.EventRow(cut_off, 1, RECEIVED, "connected", {"consultant": "2001"})
        await appeals.add_events(connection, [talked])
        await connection.execute(
            update(appeal).where(appeal.c.id == cut_off).values(caller_number="+77012340000")
        )
    async with unit_of_work(engine) as connection:
        hours = (datetime(2026, 10, 1, 4, tzinfo=UTC), datetime.now(UTC))
        await count_refused(connection, Counter({(hour, "operator", 488): 1200 for hour in hours}))
    await _quarantine(engine, call)
    await open_call(engine, "call-3", datetime.now(UTC))
    async with unit_of_work(engine) as connection:
        await audit.record(
            connection,
            who=f"user:{'sw' * 16}",
            action=RecordingAction.RECORDING_LISTENED,
            subject=f"recording:{uuid4()}",
            detail={"reason": "x" * 60},
        )
    refused = await service.register(engine, OFFICER, demand_form(letter_number="03-2/116"))
    ground = RefusalGround.NOT_OF_CONSULTANT
    await service.refuse(engine, HEAD, refused.number, refused.version, ground, "Звонка не было")
    criteria = SearchCriteria(appeal_number=call.number)
    return (await service.register(engine, OFFICER, demand_form(criteria=criteria))).number


async def _quarantine(engine: AsyncEngine, call: Call) -> None:
    """A recording that failed, and one that is shorter than its conversation."""
    failed = {"state": "failed", "fault": "it has no whole frame"}
    short = {
        "state": "stored",
        "ended_at": RECEIVED + timedelta(minutes=7),
        "duration_ms": 61_000,
        "sha256": "0" * 64,
        "store_name": "short",
        "bytes": 1,
    }
    async with unit_of_work(engine) as connection:
        for values in (failed, short):
            which = uuid4()
            await connection.execute(
                insert(recording).values(
                    id=which,
                    appeal_id=call.id,
                    spool_name=f"{which}.raw",
                    started_at=RECEIVED,
                    **values,
                )
            )


@contextmanager
def running_site(settings: Settings, folder: Path) -> Iterator[str]:
    """The process that serves the pages, in its sandbox if the kernel can, and its address."""
    confined = ("setpriv", *sandbox_of("web", settings).options(), "--") if can_confine() else ()
    reported, log = folder / "ready.sock", folder / "web.log"
    environment = {"NOTIFY_SOCKET": str(reported)}
    for name in ("database_url", "redis_url"):
        environment[f"CALLCENTER_{name.upper()}"] = getattr(settings, name).get_secret_value()
    for name in ("var", "recordings", "web_port", "sip_port", "ari_port"):
        environment[f"CALLCENTER_{name.upper()}"] = str(getattr(settings, name))
    environment["CALLCENTER_SIGN_IN_REQUIRED"] = json.dumps(settings.sign_in_required)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(reported))
        with serving(environment, log, confined) as process:
            wait_until_ready(receiver, process, log)
            yield f"http://127.0.0.1:{settings.web_port}"
