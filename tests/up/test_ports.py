import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callcenter.errors import AskedWrongly, NotReady
from callcenter.settings import Settings
from callcenter.up.ports import check_ports, ports

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


def free(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def settings_with(tmp_path: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "web_port": free(),
        "ari_port": free(),
        "ami_port": free(),
        "sip_port": free(socket.SOCK_DGRAM),
    }
    return Settings.model_validate({"var": tmp_path, **values, **changes})


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
def test_a_port_in_use_is_named_with_its_holder_and_its_setting(
    tmp_path: Path, take: Taking, name: str, kind: socket.SocketKind, protocol: str
) -> None:
    port = take(kind, "127.0.0.1")
    with pytest.raises(NotReady) as error:
        check_ports(ports(settings_with(tmp_path, **{name: port})))
    message = str(error.value)
    assert f"{protocol} port {port} on 127.0.0.1 is in use by" in message
    assert f"(pid {os.getpid()})" in message
    assert f"CALLCENTER_{name.upper()}" in message
    assert "\n" not in message


def test_an_address_that_the_machine_does_not_have_is_named(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, sip_address="192.0.2.1")
    with pytest.raises(AskedWrongly, match=r"192\.0\.2\.1 is not .* CALLCENTER_SIP_ADDRESS"):
        check_ports(ports(settings))


def test_one_number_for_two_ports_is_refused_by_name(tmp_path: Path) -> None:
    port = free()
    settings = settings_with(tmp_path, ari_port=port, ami_port=port)
    with pytest.raises(AskedWrongly, match=f"ARI_PORT and CALLCENTER_AMI_PORT are both {port}"):
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
