"""Are the ports that the settings name free? Asked once, before anything is started."""

import errno
import secrets
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import psutil

from callcenter.errors import AskedWrongly, NotReady
from callcenter.settings import Settings


@dataclass(frozen=True)
class Port:
    """A port that a part will listen on, and the settings that move it."""

    kind: socket.SocketKind
    address: str
    number: int
    number_setting: str
    # None for what is bound to loopback in any case.
    address_setting: str | None = None

    def __str__(self) -> str:
        protocol = "TCP" if self.kind == socket.SOCK_STREAM else "UDP"
        return f"{protocol} port {self.number} on {self.address}"


UNIFIED_CENTER = "127.0.0.3"  #: where a copy on free ports expects 1414
NETWORK = "127.0.0.2"  #: where it expects the operator, who takes the calls that it makes


def with_free_ports(settings: Settings, **changed: object) -> Settings:
    """The same settings with ports that are free now, and `changed` on top: for a passing copy."""
    with ExitStack() as stack:
        tcp = [stack.enter_context(socket.socket()) for _ in range(3)]
        udp = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(3)]
        for each in (*tcp, *udp):
            each.bind(("127.0.0.1", 0))
        web, ari, ami, sip, center, network = (each.getsockname()[1] for each in (*tcp, *udp))
    # Below the ports that the kernel gives out; Asterisk itself skips what is in use.
    rtp = 10000 + 1000 * secrets.randbelow(22)
    values = settings.model_dump() | {
        "web_port": web,
        "ari_port": ari,
        "ami_port": ami,
        "sip_port": sip,
        "rtp_start": rtp,
        "rtp_end": rtp + 999,
        "unified_center_uri": f"sip:1414@{UNIFIED_CENTER}:{center}",
        "network_uri": f"sip:{{number}}@{NETWORK}:{network}",
    }
    return Settings(_env_file=None, **(values | changed))


def ports(settings: Settings) -> list[Port]:
    """The ports that are needed one by one. RTP takes what is free in its range."""
    web, sip = str(settings.web_address), str(settings.sip_address)
    loopback = "127.0.0.1"
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return [
        Port(tcp, web, settings.web_port, "CALLCENTER_WEB_PORT", "CALLCENTER_WEB_ADDRESS"),
        Port(tcp, loopback, settings.ari_port, "CALLCENTER_ARI_PORT"),
        Port(tcp, loopback, settings.ami_port, "CALLCENTER_AMI_PORT"),
        Port(udp, sip, settings.sip_port, "CALLCENTER_SIP_PORT", "CALLCENTER_SIP_ADDRESS"),
    ]


def check_ports(wanted: Sequence[Port]) -> None:
    """Raises AskedWrongly for settings that cannot be, NotReady for a port in use."""
    times = Counter(port.number for port in wanted if port.kind == socket.SOCK_STREAM)
    for number, count in times.items():
        if count > 1:
            names = " and ".join(port.number_setting for port in wanted if port.number == number)
            raise AskedWrongly(f"{names} are both {number}: give each a port of its own")
    for port in wanted:
        check_port(port)


def check_port(port: Port) -> None:
    """Binds the port for a moment, as its part will."""
    with socket.socket(socket.AF_INET, port.kind) as trial:
        if port.kind == socket.SOCK_STREAM:
            # Connections that have just ended do not keep a server from starting again.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((port.address, port.number))
            if port.kind == socket.SOCK_STREAM:
                trial.listen(1)
        except OSError as exc:
            raise _explain(port, exc) from exc


def _explain(port: Port, exc: OSError) -> AskedWrongly | NotReady:
    if exc.errno == errno.EADDRINUSE:
        return NotReady(
            f"{port} is in use by {_holder(port)}: stop it, "
            f"or set {port.number_setting} to a free port"
        )
    if exc.errno == errno.EADDRNOTAVAIL and port.address_setting:
        return AskedWrongly(
            f"{port.address} is not an address of this machine: change {port.address_setting}"
        )
    return NotReady(f"{port} cannot be used ({exc.strerror}): change {port.number_setting}")


def _holder(port: Port) -> str:
    """Who has the port, as far as this user may know."""
    kind = "tcp" if port.kind == socket.SOCK_STREAM else "udp"
    # Processes of other users are hidden from an ordinary user, and may end while we look.
    with suppress(psutil.Error):
        for connection in psutil.net_connections(kind):
            local = connection.laddr
            listens = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if local and local.port == port.number and listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"
