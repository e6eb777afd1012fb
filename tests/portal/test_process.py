"""`callcenter portal` as a process: killed while people write, and what it says of nobody."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.cli import callcenter
from callcenter.commands.check import CHECKS, examine
from callcenter.intake.alerts import PORTAL_FAILS
from callcenter.intake.drivers.portal.collector import collect
from callcenter.intake.drivers.portal.opening import PORTAL, publish_key
from callcenter.intake.jobs import alert_of_portal
from callcenter.launcher.port_check import free_port
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.monitoring import http_status
from callcenter.platform.monitoring.alerts import OPEN
from callcenter.platform.monitoring.metrics_server import BESIDE
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.portal.sealing import read_sealing_key
from callcenter.recordings.sealing import keys
from tests.calls.processes import to_be_watched
from tests.fork_server import OURS
from tests.intake.messages import TEXT, rows
from tests.polling import require_within, until
from tests.portal.conftest import RECEIPT, Visitor
from tests.services import changed
from tests.streams import port_of, stream_server

WRITERS = 12
MESSAGES = "SELECT count(*), count(receipt_at), count(DISTINCT sequence) FROM portal_message"


@contextmanager
def serving(
    settings: Settings, database: str, port: int, log: Path, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The portal as a process of its own."""
    environment = {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_PORTAL_PORT": str(port),
        "CALLCENTER_VAR": str(settings.var),
        "CALLCENTER_METRICS_PORT": "none",
    }
    program = [sys.executable, "-c", OURS, "portal"]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            program, env=os.environ | environment | more, cwd=ROOT, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def test_killed_while_people_write_nothing_is_lost_or_twice(
    settings: Settings, database: str, engine: AsyncEngine, sealed_to_intake: None, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    receipts: dict[int, tuple[str, str]] = {}
    client = httpx.AsyncClient(base_url=f"http://localhost:{port}", trust_env=False, timeout=30)
    visitor = Visitor(client)

    async def serves() -> bool:
        try:
            return (await client.get("/ru")).status_code == 200
        except httpx.TransportError:
            return False

    async def write(number: int, token: str) -> None:
        answer = await visitor.send(f"{TEXT} {number}", token)
        if (receipt := RECEIPT.search(answer.text)) is not None:
            receipts[number] = (receipt[1], receipt[2])

    async with client:
        with serving(settings, database, port, log) as process:
            await until(serves, "the portal serves")
            tokens = [await visitor.token() for _ in range(WRITERS)]
            writing = [asyncio.create_task(write(*each)) for each in enumerate(tokens)]
            await until(lambda: len(receipts) >= WRITERS // 3, "some have a receipt")
            process.kill()
            await asyncio.gather(*writing, return_exceptions=True)
        shown = dict(receipts)
        [(stored, given, _)] = await rows(engine, MESSAGES)
        assert WRITERS >= stored >= given >= len(shown)
        with serving(settings, database, port, log) as process:
            await until(serves, "the portal serves again")
            for each in shown.values():
                assert TEXT in (await visitor.open(*each)).text
            await asyncio.gather(*(write(*each) for each in enumerate(tokens)))
            process.send_signal(signal.SIGTERM)
            await until(lambda: process.poll() is not None, "it ends in order")
        assert process.returncode == 0
    assert {number: receipts[number] for number in shown} == shown
    assert await rows(engine, MESSAGES) == [(WRITERS, WRITERS, WRITERS)]
    assert len(set(receipts.values())) == WRITERS
    written = log.read_text()
    assert "Traceback" not in written


def test_the_newest_key_of_the_portal_is_published(tmp_path: Path, database: str) -> None:
    there = {"CALLCENTER_VAR": str(tmp_path), "CALLCENTER_DATABASE_URL": database}
    for arguments in ((), ("--new",)):
        done = CliRunner().invoke(callcenter, ["keys", "portal", *arguments], env=there)
        assert done.exit_code == 0, done.output
        newest = done.output.split()[0]
        assert (tmp_path / "portal" / "key.pub").read_text() == f"{newest}\n"
        assert keys.read(tmp_path / "keys", purpose=PORTAL).public == newest
    assert (tmp_path / "keys" / "portal").stat().st_mode & 0o777 == 0o700


def test_a_lost_key_is_sealed_to_no_longer(tmp_path: Path, database: str) -> None:
    there = {"CALLCENTER_VAR": str(tmp_path), "CALLCENTER_DATABASE_URL": database}
    look = CHECKS["portal"]["key"]
    settings = Settings(_env_file=None, var=tmp_path)
    for arguments in (("make", "portal"), ("accept", "portal")):
        done = CliRunner().invoke(callcenter, ["keys", *arguments], env=there)
        assert done.exit_code == 0, done.output
        newest = keys.read(settings.keys, purpose=PORTAL).public
        assert read_sealing_key(settings) == newest
        assert examine(look, settings) == ("ok", "it seals to the newest key")
        [lost] = (settings.keys / PORTAL).iterdir()
        lost.rename(tmp_path / "lost")
        assert "cannot tell" in examine(look, settings)[1]
    keys.make(settings.keys, PORTAL)
    assert examine(look, settings)[0] == "BAD"


async def test_a_portal_that_stores_nothing_is_reported(
    settings: Settings,
    database: str,
    engine: AsyncEngine,
    redis: Redis,
    sealed_to_intake: None,
    tmp_path: Path,
) -> None:
    ours = changed(
        to_be_watched(settings), portal_port=free_port(), portal_url=None, database_url=database
    )
    watched = {"CALLCENTER_METRICS_PORT": str(ours.metrics_port)}
    look = CHECKS["portal"]["pages"]

    async def seen() -> tuple[str, str]:
        return await asyncio.to_thread(examine, look, ours)

    async def can_store() -> bool:
        return await seen() == ("ok", "they answer, and what is written can be stored")

    async def alerts() -> list[str]:
        await alert_of_portal(WorkerResources(ours, engine), redis)
        return [str(each) for each in await redis.hkeys(OPEN)]

    assert (await seen())[0] == "warn"
    assert await alerts() == []  # it may be elsewhere
    with serving(ours, database, ours.portal_port, tmp_path / "log", **watched):
        await until(can_store, "it can store")
        key = settings.portal_key_file.rename(tmp_path / "key")
        assert await seen() == (
            "BAD",
            "they answer, and nothing can be stored: see the log of the portal",
        )
        assert await alerts() == [PORTAL_FAILS.key]
        key.rename(settings.portal_key_file)
        assert await alerts() == []
        receive = "portal_receive(uuid,uuid,boolean,bytea)"
        async with unit_of_work(engine) as connection:
            await connection.execute(text(f"ALTER FUNCTION {receive} RENAME TO gone"))
        assert (await seen())[0] == "BAD"
        assert await alerts() == [PORTAL_FAILS.key]
        named = changed(ours, portal_url="https://jazba.example.kz")
        assert await asyncio.to_thread(examine, look, named) == (
            "BAD",
            "they answer 400: see the log of the portal",
        )
        silent = changed(ours, metrics_port=free_port() - BESIDE["portal"])
        assert (await asyncio.to_thread(examine, look, silent))[0] == "BAD"
    assert await alerts() == []  # it ended: nothing is known of it


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: "])
async def test_a_portal_that_answers_for_ever_is_reported(
    settings: Settings,
    engine: AsyncEngine,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    begun: bytes,
) -> None:
    """It was broken into, and holds nobody up."""

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(begun)
            for _ in range(200):
                await asyncio.sleep(0.05)  # it must not pause for as long as the limit
                writer.write(b"O")
                await writer.drain()

    monkeypatch.setattr(http_status, "ANSWER_LIMIT", 0.2)
    async with stream_server(trickle) as server:
        ours = changed(settings, metrics_port=port_of(server) - BESIDE["portal"])
        began = time.monotonic()
        await alert_of_portal(WorkerResources(ours, engine), redis)
        require_within(time.monotonic() - began, 5, "given up")
    assert await redis.hkeys(OPEN) == [PORTAL_FAILS.key]


@pytest.mark.parametrize(
    ("portal", "staff", "state"),
    [
        (None, None, "warn"),
        ("http://jazba.example.kz", "https://111.example.kz", "warn"),
        ("https://jazba.example.kz", None, "warn"),
        ("https://jazba.example.kz", "https://111.example.kz", "ok"),
    ],
)
def test_an_address_that_serves_nobody_is_reported(
    portal: str | None, staff: str | None, state: str
) -> None:
    settings = Settings(_env_file=None, public_url=staff, portal_url=portal)
    assert examine(CHECKS["portal"]["address"], settings)[0] == state


async def test_a_new_key_is_sealed_to_without_a_restart(
    visitor: Visitor, worker: WorkerResources, engine: AsyncEngine, settings: Settings
) -> None:
    await visitor.write("A")
    [before] = (settings.keys / PORTAL).iterdir()
    keys.make(settings.keys, PORTAL)
    publish_key(settings)
    before.unlink()
    await visitor.write(TEXT)
    await collect(worker)
    assert await rows(engine, "SELECT count(*) FROM intake_message") == [(1,)]


def test_the_portal_logs_in_as_no_other_role(tmp_path: Path, database: str) -> None:
    """Who has no password of a role logs in as the owner otherwise."""
    there = {"CALLCENTER_VAR": str(tmp_path), "CALLCENTER_DATABASE_URL": database}
    done = CliRunner().invoke(callcenter, ["portal"], env=there)
    assert isinstance(done.exception, InvalidRequest)
    assert "logs in as callcenter_portal alone" in str(done.exception)
