"""Port checks before the start, and free ports for temporary copies of demo and tests.

Copies that run for a while only, of the demo and of tests, get ports from here.
"""

import errno
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle

import psutil

from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.settings import Settings


@dataclass(frozen=True)
class Port:
    """A port of a process, and the settings that move it."""

    kind: socket.SocketKind
    address: str
    number: int
    number_setting: str
    # None for what is bound to loopback in any case.
    address_setting: str | None = None

    def __str__(self) -> str:
        protocol = "TCP" if self.kind == socket.SOCK_STREAM else "UDP"
        return f"{protocol} port {self.number} on {self.address}"


LOOPBACK = "127.0.0.1"
UNIFIED_CENTER = "127.0.0.3"  #: where a copy on free ports expects 1414
NETWORK = "127.0.0.2"  #: where it expects the operator, who takes the calls that it makes

# Below the ports that the kernel gives out: nobody gets one of these by chance.
_PASSING = range(10000, 32000)
_OF_A_PROCESS = 500
_FOR_SERVERS = 100  # the others are for RTP, of which Asterisk itself skips what is in use


def with_free_ports(settings: Settings, **changed: object) -> Settings:
    """The settings of a temporary copy: ports of this process, and `changed` on top.

    Raises DependencyUnavailable when so many processes have temporary copies that no ports are
    left.
    """
    rtp = _ports_of_this_process()[_FOR_SERVERS:]
    center = free_port(socket.SOCK_DGRAM, UNIFIED_CENTER)
    network = free_port(socket.SOCK_DGRAM, NETWORK)
    values = settings.model_dump() | {
        "web_port": free_port(),
        "portal_port": free_port(),
        "ari_port": free_port(),
        "metrics_port": None,  # several in a row, and nobody watches a passing copy
        "ami_port": free_port(),
        "hep_port": free_port(socket.SOCK_DGRAM),
        "sip_port": free_port(socket.SOCK_DGRAM),
        "sip_tls_port": free_port(),
        "rtp_start": rtp[0],
        "rtp_end": rtp[-1],
        "unified_center_uri": f"sip:1414@{UNIFIED_CENTER}:{center}",
        "network_uri": f"sip:{{number}}@{NETWORK}:{network}",
    }
    return Settings(_env_file=None, **(values | changed))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, address: str = LOOPBACK) -> int:
    """A free port, given to no other process while this one lives.

    This process is given it again only after all its others. Raises DependencyUnavailable when none
    is free.
    """
    for _ in range(_FOR_SERVERS):
        number = next(_next_ports())
        with suppress(OSError):
            _try(kind, address, number)
            return number
    raise DependencyUnavailable("all ports that this process may give to passing copies are in use")


@cache
def _ports_of_this_process() -> range:
    """The block of ports of this process, reserved by binding the first of them."""
    # From above: RTP of a product with its default settings begins below.
    for start in reversed(_PASSING[::_OF_A_PROCESS]):
        with suppress(OSError), socket.socket() as guard:
            guard.bind((LOOPBACK, start))
            # It stays open, and bound, until the process ends in whatever way.
            guard.detach()
            return range(start, start + _OF_A_PROCESS)
    raise DependencyUnavailable(
        f"no ports are left between {_PASSING[0]} and {_PASSING[-1]} for passing copies"
    )


@cache
def _next_ports() -> Iterator[int]:
    return cycle(_ports_of_this_process()[1:_FOR_SERVERS])


def ports(settings: Settings) -> list[Port]:
    """The single ports of the product. RTP takes what is free in its range."""
    web, sip = str(settings.web_address), str(settings.sip_address)
    portal = str(settings.portal_address)
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    tls = Port(tcp, sip, settings.sip_tls_port, "CALLCENTER_SIP_TLS_PORT", "CALLCENTER_SIP_ADDRESS")
    return [
        *([tls] if settings.sip_certificate else ()),
        Port(tcp, web, settings.web_port, "CALLCENTER_WEB_PORT", "CALLCENTER_WEB_ADDRESS"),
        Port(
            tcp, portal, settings.portal_port, "CALLCENTER_PORTAL_PORT", "CALLCENTER_PORTAL_ADDRESS"
        ),
        Port(tcp, LOOPBACK, settings.ari_port, "CALLCENTER_ARI_PORT"),
        Port(tcp, LOOPBACK, settings.ami_port, "CALLCENTER_AMI_PORT"),
        hep_port(settings),
        Port(udp, sip, settings.sip_port, "CALLCENTER_SIP_PORT", "CALLCENTER_SIP_ADDRESS"),
    ]


def hep_port(settings: Settings) -> Port:
    return Port(socket.SOCK_DGRAM, LOOPBACK, settings.hep_port, "CALLCENTER_HEP_PORT")


def check_ports(ports_to_check: Sequence[Port]) -> None:
    """Check that ports differ and are free.

    Raises InvalidRequest for settings that cannot be, DependencyUnavailable for a port in use.
    """
    times = Counter(port.number for port in ports_to_check if port.kind == socket.SOCK_STREAM)
    for number, count in times.items():
        if count > 1:
            names = " and ".join(
                port.number_setting for port in ports_to_check if port.number == number
            )
            raise InvalidRequest(f"{names} are both {number}: give each a port of its own")
    for port in ports_to_check:
        check_port(port)


def hold_port(port: Port) -> socket.socket:
    """Bind a UDP port for as long as the socket is open. Raises as `check_ports` does."""
    held = socket.socket(socket.AF_INET, port.kind)
    try:
        held.bind((port.address, port.number))
    except OSError as exc:
        held.close()
        raise _explain(port, exc) from exc
    return held


def check_port(port: Port) -> None:
    try:
        _try(port.kind, port.address, port.number)
    except OSError as exc:
        raise _explain(port, exc) from exc


def _try(kind: socket.SocketKind, address: str, number: int) -> None:
    """Bind the port for a moment, as its process will."""
    with socket.socket(socket.AF_INET, kind) as trial:
        if kind == socket.SOCK_STREAM:
            # Connections that have just ended do not keep a server from starting again.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((address, number))
        if kind == socket.SOCK_STREAM:
            trial.listen(1)


def _explain(port: Port, exc: OSError) -> InvalidRequest | DependencyUnavailable:
    if exc.errno == errno.EADDRINUSE:
        return DependencyUnavailable(
            f"{port} is in use by {_holder(port)}: stop it, "
            f"or set {port.number_setting} to a free port"
        )
    if exc.errno == errno.EADDRNOTAVAIL and port.address_setting:
        return InvalidRequest(
            f"{port.address} is not an address of this machine: change {port.address_setting}"
        )
    return DependencyUnavailable(
        f"{port} cannot be used ({exc.strerror}): change {port.number_setting}"
    )


def _holder(port: Port) -> str:
    """The process that has the port, as far as this user may know."""
    kind = "tcp" if port.kind == socket.SOCK_STREAM else "udp"
    # Processes of other users are hidden from an ordinary user, and may end while we look.
    with suppress(psutil.Error):
        for connection in psutil.net_connections(kind):
            local = connection.laddr
            listens = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if local and local.port == port.number and listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"
