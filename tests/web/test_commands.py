"""`callcenter users` and `callcenter web`, as they are typed."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, insert, select
from sqlalchemy.pool import NullPool

from callcenter.cli import ALIASES, callcenter
from callcenter.consultants.tables import consultant
from callcenter.launcher.port_check import free_port
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import CallcenterError, InvalidRequest
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.identity.permissions import Role, assignable_roles
from callcenter.platform.identity.tables import recovery_code, second_factor, web_user
from callcenter.platform.storage.engine import database_address
from callcenter.platform.web.server import listen
from tests import fork_server
from tests.services import CALLCENTER
from tests.streams import open_stream

Run = Callable[..., str]


@pytest.fixture
def run(database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("users", ...)` is `callcenter users ...` on this test's database; its output."""
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", database)

    def run(*words: str) -> str:
        result = CliRunner().invoke(callcenter, words)
        if result.exception is not None and isinstance(result.exception, CallcenterError):
            raise result.exception
        return result.output

    return run


def audited(settings: Settings) -> list[tuple[str, str]]:
    engine = create_engine(database_address(settings), poolclass=NullPool)
    with engine.connect() as connection:
        query = select(audit_entry.c.action, audit_entry.c.subject).order_by(audit_entry.c.id)
        return [tuple(row) for row in connection.execute(query)]


@pytest.mark.parametrize("former", ALIASES)
def test_a_former_name_of_a_command_works(former: str) -> None:
    before, now = (
        fork_server.run((*CALLCENTER, each, "--help"), os.environ)
        for each in (former, ALIASES[former])
    )
    assert (before.returncode, before.stderr) == (0, "")
    assert f" {former} [OPTIONS]" in before.stdout.partition("\n")[0]
    assert before.stdout.partition("\n")[2] == now.stdout.partition("\n")[2] != ""


def test_a_clients_token_is_shown_once_and_revocable(run: Run, settings: Settings) -> None:
    token = re.search(r"Bearer ([\w-]{43})\n", run("machines", "add", "portal"))
    assert token is not None
    assert re.fullmatch(r"portal +active +2\S+ \S+ never +status\.ask\n", run("machines", "list"))
    with pytest.raises(InvalidRequest, match="already"):
        run("machines", "add", "portal")
    run("machines", "revoke", "portal")
    assert "revoked" in run("machines", "list")
    assert token[1] not in run("machines", "list")
    with pytest.raises(InvalidRequest, match="no API client"):
        run("machines", "revoke", "portal")
    assert re.search(r"Bearer [\w-]{43}\n", run("machines", "renew", "portal"))
    assert "active" in run("machines", "list")
    with pytest.raises(InvalidRequest, match="no API client"):
        run("machines", "renew", "nobody")
    assert audited(settings) == [
        (f"command:machine:{each}", "machine:portal") for each in ("added", "revoked", "renewed")
    ]


def test_a_person_is_added_disabled_and_let_in_again(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    added = run("users", "add", "aigul", "--role", "head")
    link = r"http://127\.0\.0\.1:\d+/invitations/[\w-]{43}"
    assert re.fullmatch(rf"added aigul as head; .* good once, until \S+ \S+:\n{link}\n", added)
    assert re.search(r"^aigul +head +active ", run("users", "list"), re.M)
    run("users", "disable", "aigul")
    assert re.search(r"^aigul +head +disabled ", run("users", "list"), re.M)
    run("users", "enable", "aigul")
    secret = tmp_path / "secret"
    secret.write_text("a password of the file\nnot this\n")
    assert run("users", "password", "aigul", "--password-file", str(secret)) == (
        "aigul has a new password\n"
    )
    assert re.search(rf"^{link}$", run("users", "invite", "aigul"), re.M)
    assert re.fullmatch(rf"{link}\n", run("users", "invite-first-administrator"))
    assert audited(settings) == [
        ("command:user:added", "user:aigul"),
        ("command:user:invited", "user:aigul"),
        ("command:user:disabled", "user:aigul"),
        ("command:user:enabled", "user:aigul"),
        ("command:user:password_set", "user:aigul"),
        ("command:user:invited", "user:aigul"),
    ]


def test_a_second_factor_is_removed(run: Run, settings: Settings) -> None:
    run("users", "add", "aigul", "--role", "head")
    with pytest.raises(InvalidRequest, match="aigul has no second factor"):
        run("users", "reset-second-factor", "aigul")
    engine = create_engine(database_address(settings), poolclass=NullPool)
    with engine.begin() as connection:
        person = connection.execute(select(web_user.c.id)).scalar_one()
        connection.execute(insert(second_factor).values(user_id=person, secret=b"-", last_step=1))
        connection.execute(insert(recovery_code).values(user_id=person, code_hash=b"-"))
    assert run("users", "reset-second-factor", "aigul") == "aigul has no second factor\n"
    with engine.connect() as connection:
        assert connection.execute(select(second_factor)).one_or_none() is None
    assert audited(settings)[-1] == ("command:second_factor:reset", "user:aigul")


def test_an_invalid_command_is_refused_and_leaves_no_trace(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.write_text("short\n")
    for words, reported in (
        (("add", "Айгүл", "--role", "head"), "small Latin letters"),
        (("add", "aigul", "--role", "head", "--password-file", str(short)), "12 to 256"),
        (
            ("add", "aigul", "--role", "head", "--password-file", str(tmp_path / "no")),
            "cannot read",
        ),
        (("disable", "nobody"), "no user nobody"),
        (("invite", "nobody"), "no user nobody"),
    ):
        with pytest.raises(InvalidRequest, match=reported):
            run("users", *words)
    assert "is not one of" in run("users", "add", "aigul", "--role", "king")
    assert run("users", "list") == ""
    assert audited(settings) == []


def test_a_person_is_linked_to_a_consultant_and_unlinked(run: Run, settings: Settings) -> None:
    run("users", "add", "aigul", "--role", "consultant")
    engine = create_engine(database_address(settings), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(
            insert(consultant).values(
                id=uuid4(), extension="201", name="A", languages=["kk"], digest="0" * 32
            )
        )
    assert run("users", "link", "aigul", "201") == "aigul is consultant 201\n"
    assert run("users", "unlink", "aigul") == "aigul is no consultant\n"
    with pytest.raises(InvalidRequest, match="no consultant has the extension 202"):
        run("users", "link", "aigul", "202")
    with pytest.raises(InvalidRequest, match="no user nobody"):
        run("users", "link", "nobody", "201")
    assert audited(settings)[2:] == [("command:user:linked", "user:aigul")] * 2


def test_a_name_is_given_once(run: Run) -> None:
    run("users", "add", "aigul", "--role", "head")
    with pytest.raises(InvalidRequest, match="already"):
        run("users", "add", "aigul", "--role", "senior")


def test_every_role_that_may_do_something_can_be_given(run: Run) -> None:
    for role in assignable_roles():
        run("users", "add", f"one-{role.value}", "--role", role.value)
    assert len(run("users", "list").splitlines()) == len(assignable_roles())
    for idle in set(Role) - set(assignable_roles()):
        assert "is not one of" in run("users", "add", "nobody", "--role", idle.value)


@contextmanager
def serving(
    environment: dict[str, str], log: Path, before: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """`callcenter web` as a process of its own, whose command begins with `before`."""
    program = [*before, sys.executable, "-c", "from callcenter.cli import main; main()", "web"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            program, env=os.environ | environment, cwd=ROOT, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def wait_until_ready(receiver: socket.socket, process: subprocess.Popen[bytes], log: Path) -> str:
    receiver.settimeout(0.2)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            return receiver.recv(1000).decode()
        except TimeoutError:
            continue
    raise AssertionError("not ready in 60 s: " + log.read_text())


class ServingPages(NamedTuple):
    """`callcenter web` that is ready."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    announced: str


@pytest.fixture
def serving_pages(database: str, tmp_path: Path, short_folder: Path) -> Iterator[ServingPages]:
    """The pages by a process of its own, which may open 400 files."""
    port = free_port()
    reported = short_folder / f"web-{port}.sock"
    log = tmp_path / "log"
    environment = {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_WEB_PORT": str(port),
        "CALLCENTER_VAR": str(tmp_path / "var"),
        "NOTIFY_SOCKET": str(reported),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(reported))
        with serving(environment, log) as process:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (400, 400))
            announced = wait_until_ready(receiver, process, log)
            yield ServingPages(process, port, log, announced)


def test_the_process_serves_announces_itself_and_stops_in_order(
    serving_pages: ServingPages,
) -> None:
    process, port, log, announced = serving_pages
    assert announced == f"READY=1\nSTATUS=http://127.0.0.1:{port}\n"
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert client.get("/health/ready").status_code == 200
        answer = client.get("/sign-in?secret=1")
        assert "callcenter=" in answer.headers["set-cookie"]
        assert "server" not in answer.headers
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, log.read_text()
    written = log.read_text()
    assert "GET /sign-in 200" in written
    assert "secret=1" not in written
    assert "Traceback" not in written


def test_idle_connections_keep_nobody_out(serving_pages: ServingPages) -> None:
    _, port, log, _ = serving_pages
    with ExitStack() as idle:
        for _ in range(800):
            connection = socket.create_connection(("127.0.0.1", port))
            idle.enter_context(connection)
            connection.send(b"POST /sign-in HTTP/1.1\r\nHost: here\r\n")
        answer = httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False)
        assert answer.status_code == 200
    written = log.read_text()
    assert "connections full" in written
    assert "Traceback" not in written


async def test_an_accepted_connection_sends_at_once() -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    port = free_port()
    with listen("127.0.0.1", port, "") as listener:
        async with (
            await asyncio.start_server(serve, sock=listener),
            open_stream(asyncio.open_connection("127.0.0.1", port)),
        ):
            assert await asyncio.wait_for(accepted, 30) == 1


@pytest.mark.parametrize("missing", ["port", "tables", "database"])
def test_what_is_missing_is_named_in_one_line(
    missing: str, database: str, empty_database: str, tmp_path: Path
) -> None:
    urls = {
        "port": database,
        "tables": empty_database,
        "database": f"postgresql://postgres@/none?host={tmp_path}",
    }
    reported = {
        "port": "callcenter: cannot listen on 127.0.0.1:",
        "tables": "callcenter: the database is not ready: run `callcenter migrate`",
        "database": "callcenter: cannot reach the database",
    }
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {
            "CALLCENTER_DATABASE_URL": urls[missing],
            "CALLCENTER_WEB_PORT": str(taken.getsockname()[1]),
            "CALLCENTER_VAR": str(tmp_path / "var"),
        }
        with serving(environment, log) as process:
            assert process.wait(60) == 1
    # Before it the first run may say which secrets it has made.
    [line] = [each for each in log.read_text().splitlines() if " WARNING " not in each]
    assert line.startswith(reported[missing])
