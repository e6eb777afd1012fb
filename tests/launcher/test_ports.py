import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from callcenter.launcher.port_check import check_ports, free_port, ports, with_free_ports
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.settings import Settings
from tests.launcher.rig import script

Taking = Callable[[socket.SocketKind, str], int]


@pytest.fixture
def take() -> Iterator[Taking]:
    """Takes a free port and returns its number."""
    taken: list[socket.socket] = []

    def taking(kind: socket.SocketKind, address: str) -> int:
        holder = socket.socket(socket.AF_INET, kind)
        taken.append(holder)
        holder.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port: int = holder.getsockname()[1]
        return port

    yield taking
    for holder in taken:
        holder.close()


def settings_with(tmp_path: Path, **changes: object) -> Settings:
    return with_free_ports(Settings(_env_file=None, var=tmp_path), **changes)


def test_free_ports_are_no_hindrance(tmp_path: Path) -> None:
    check_ports(ports(settings_with(tmp_path)))


@pytest.mark.parametrize(
    ("name", "kind", "protocol"),
    [
        ("web_port", socket.SOCK_STREAM, "TCP"),
        ("ari_port", socket.SOCK_STREAM, "TCP"),
        ("ami_port", socket.SOCK_STREAM, "TCP"),
        ("sip_port", socket.SOCK_DGRAM, "UDP"),
    ],
)
def test_a_port_in_use_is_named_with_holder_and_setting(
    tmp_path: Path, take: Taking, name: str, kind: socket.SocketKind, protocol: str
) -> None:
    port = take(kind, "127.0.0.1")
    with pytest.raises(DependencyUnavailable) as error:
        check_ports(ports(settings_with(tmp_path, **{name: port})))
    message = str(error.value)
    assert f"{protocol} port {port} on 127.0.0.1 is in use by" in message
    assert f"(pid {os.getpid()})" in message
    assert f"CALLCENTER_{name.upper()}" in message
    assert "\n" not in message


def test_an_address_that_the_machine_does_not_have_is_named(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, sip_address="192.0.2.1")
    with pytest.raises(InvalidRequest, match=r"192\.0\.2\.1 is not .* CALLCENTER_SIP_ADDRESS"):
        check_ports(ports(settings))


def test_one_number_for_two_ports_is_refused_by_name(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_with(tmp_path, ari_port=port, ami_port=port)
    with pytest.raises(InvalidRequest, match=f"ARI_PORT and CALLCENTER_AMI_PORT are both {port}"):
        check_ports(ports(settings))


def test_connections_that_have_ended_do_not_hold_a_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            # The server's side ends first and so keeps the port in TIME_WAIT.
            accepted.close()
            assert client.recv(1) == b""
    check_ports(ports(settings_with(tmp_path, web_port=port)))


def test_a_port_is_given_only_while_nothing_uses_it() -> None:
    used: list[int] = []
    with ExitStack() as stack:

        def use_all() -> None:
            while True:
                holder = stack.enter_context(socket.socket())
                # As servers do: connections that ended a moment ago do not count as use.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind(("127.0.0.1", number := free_port()))
                holder.listen(1)
                used.append(number)

        with pytest.raises(DependencyUnavailable, match="are in use"):
            use_all()
    assert len(set(used)) == len(used) > 10
    assert free_port() in used


def test_no_two_processes_are_given_the_same_ports(tmp_path: Path) -> None:
    program = script(
        """
        import sys
        from callcenter.platform.core.settings import Settings
        from callcenter.launcher.port_check import with_free_ports
        settings = with_free_ports(Settings(_env_file=None))
        print(settings.web_port, settings.ari_port, settings.ami_port, settings.sip_port,
              settings.unified_center_uri.rpartition(":")[2],
              *range(settings.rtp_start, settings.rtp_end + 1), flush=True)
        sys.stdin.read()
        """
    )
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(program, stdin=PIPE, stdout=PIPE, text=True))
            for _ in range(4)
        ]
        given = [each.stdout.readline().split() for each in running if each.stdout]
    numbers = [number for each in given for number in each]
    assert all(len(each) > 100 for each in given)
    assert len(set(numbers)) == len(numbers)
