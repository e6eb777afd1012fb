import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.launcher.sd_notify import alive, read_ready, readiness, ready


async def test_the_word_of_a_process_reaches_who_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify.sock"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    async with readiness(path) as reported:
        ready("http://127.0.0.1:1\n  and more")
        async with asyncio.timeout(30):
            assert await reported == "http://127.0.0.1:1 and more"
    assert not path.exists()


async def test_a_second_word_and_other_messages_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify.sock"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    async with readiness(path) as reported:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(path))
            for message in (b"STATUS=busy", b"", b"\xff\xfe", b"READY=0\nSTATUS=no"):
                sender.sendall(message)
        ready("first")
        ready("second")
        async with asyncio.timeout(30):
            assert await reported == "first"


def test_the_abstract_socket_that_systemd_may_give_is_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"@callcenter-test-{id(monkeypatch)}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(30)
        receiver.bind("\0" + name[1:])
        ready("here")
        assert read_ready(receiver.recv(1000)) == "here"


def test_nothing_is_said_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ready("here")


def test_who_watches_for_a_hang_is_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@callcenter-test-{id(monkeypatch)}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(30)
        receiver.bind("\0" + name[1:])
        alive()  # `callcenter up` does not ask: sentinels are its means
        monkeypatch.setenv("WATCHDOG_USEC", "5000000")  # systemd does, by `WatchdogSec`
        alive()
        ready("here")
        assert receiver.recv(1000) == b"WATCHDOG=1\n"
        assert read_ready(receiver.recv(1000)) == "here"


def test_a_supervisor_that_is_gone_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone.sock"))
    with pytest.raises(FileNotFoundError):
        ready("here")


@given(st.binary())
def test_no_message_is_taken_for_readiness_unless_it_says_so(message: bytes) -> None:
    said = b"READY=1" in message.split(b"\n")
    assert (read_ready(message) is not None) == said
