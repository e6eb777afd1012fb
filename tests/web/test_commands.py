"""`callcenter users` and `callcenter web`, as they are typed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, insert, select
from sqlalchemy.pool import NullPool

from callcenter.audit.tables import audit_entry
from callcenter.cli import callcenter
from callcenter.consultants.tables import consultant
from callcenter.errors import AskedWrongly, CallcenterError
from callcenter.settings import ROOT, Settings
from callcenter.storage.engine import database_address
from callcenter.up.ports import free_port
from callcenter.web.permissions import Role
from callcenter.web.tables import recovery_code, second_factor, web_user

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


def test_a_machine_is_added_with_a_token_that_is_shown_once_and_revoked(
    run: Run, settings: Settings
) -> None:
    token = re.search(r"Bearer ([\w-]{43})\n", run("machines", "add", "portal"))
    assert token is not None
    assert re.fullmatch(r"portal +active +2\S+ \S+ never\n", run("machines", "list"))
    with pytest.raises(AskedWrongly, match="already"):
        run("machines", "add", "portal")
    run("machines", "revoke", "portal")
    assert "revoked" in run("machines", "list")
    assert token[1] not in run("machines", "list")
    with pytest.raises(AskedWrongly, match="no machine"):
        run("machines", "revoke", "portal")
    assert audited(settings) == [
        ("command:machine:added", "machine:portal"),
        ("command:machine:revoked", "machine:portal"),
    ]


def test_a_person_is_added_disabled_and_let_in_again(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    added = run("users", "add", "aigul", "--role", "head")
    assert re.fullmatch(r"added aigul as head; password: [\w-]{20}\n", added)
    assert re.search(r"^aigul +head +active ", run("users", "list"), re.M)
    run("users", "disable", "aigul")
    assert re.search(r"^aigul +head +disabled ", run("users", "list"), re.M)
    run("users", "enable", "aigul")
    secret = tmp_path / "secret"
    secret.write_text("a password of the file\nnot this\n")
    assert run("users", "password", "aigul", "--password-file", str(secret)) == (
        "aigul has a new password\n"
    )
    assert audited(settings) == [
        ("command:user:added", "user:aigul"),
        ("command:user:disabled", "user:aigul"),
        ("command:user:enabled", "user:aigul"),
        ("command:user:password_set", "user:aigul"),
    ]


def test_a_second_factor_is_taken_away(run: Run, settings: Settings) -> None:
    run("users", "add", "aigul", "--role", "head")
    with pytest.raises(AskedWrongly, match="aigul has no second factor"):
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


def test_what_was_asked_wrongly_is_refused_and_leaves_no_trace(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.write_text("short\n")
    for words, told in (
        (("add", "Айгүл", "--role", "head"), "small Latin letters"),
        (("add", "aigul", "--role", "head", "--password-file", str(short)), "12 to 256"),
        (
            ("add", "aigul", "--role", "head", "--password-file", str(tmp_path / "no")),
            "cannot read",
        ),
        (("disable", "nobody"), "no user nobody"),
        (("password", "nobody"), "no user nobody"),
    ):
        with pytest.raises(AskedWrongly, match=told):
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
    with pytest.raises(AskedWrongly, match="no consultant has the extension 202"):
        run("users", "link", "aigul", "202")
    with pytest.raises(AskedWrongly, match="no user nobody"):
        run("users", "link", "nobody", "201")
    assert audited(settings)[1:] == [("command:user:linked", "user:aigul")] * 2


def test_a_name_is_given_once(run: Run) -> None:
    run("users", "add", "aigul", "--role", "head")
    with pytest.raises(AskedWrongly, match="already"):
        run("users", "add", "aigul", "--role", "senior")


def test_every_role_can_be_given(run: Run) -> None:
    for role in Role:
        run("users", "add", f"one-{role.value}", "--role", role.value)
    assert len(run("users", "list").splitlines()) == len(Role)


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`callcenter web` as a process of its own."""
    program = [sys.executable, "-c", "from callcenter.cli import main; main()", "web"]
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


def test_the_process_serves_announces_itself_and_stops_in_order(
    database: str, tmp_path: Path, short_folder: Path
) -> None:
    port = free_port()
    told = short_folder / "web-ready.sock"
    log = tmp_path / "log"
    environment = {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_WEB_PORT": str(port),
        "CALLCENTER_VAR": str(tmp_path / "var"),
        "NOTIFY_SOCKET": str(told),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(told))
        with serving(environment, log) as process:
            message = wait_until_ready(receiver, process, log)
            assert message == f"READY=1\nSTATUS=http://127.0.0.1:{port}\n"
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                assert client.get("/health/ready").status_code == 200
                answer = client.get("/sign-in?secret=1")
                assert "callcenter=" in answer.headers["set-cookie"]
                assert "server" not in answer.headers
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, log.read_text()
    written = log.read_text()
    assert "GET /sign-in 200" in written
    assert "secret" not in written
    assert "Traceback" not in written


@pytest.mark.parametrize("missing", ["port", "tables", "database"])
def test_what_is_missing_is_named_in_one_line(
    missing: str, database: str, empty_database: str, tmp_path: Path
) -> None:
    urls = {
        "port": database,
        "tables": empty_database,
        "database": f"postgresql://postgres@/none?host={tmp_path}",
    }
    told = {
        "port": "callcenter: cannot listen on 127.0.0.1:",
        "tables": "callcenter: the database is not ready: run `callcenter migrate`",
        "database": "callcenter: cannot reach the database",
    }
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {
            "CALLCENTER_DATABASE_URL": urls[missing],
            "CALLCENTER_WEB_PORT": str(taken.getsockname()[1]),
        }
        with serving(environment, log) as process:
            assert process.wait(60) == 1
    [line] = log.read_text().splitlines()
    assert line.startswith(told[missing])
