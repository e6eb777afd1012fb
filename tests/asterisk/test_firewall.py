"""The rules for the kernel that docs/operations names, tried on packets by the kernel itself."""

import ctypes
import itertools
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from callcenter.platform.core.settings import ROOT

NFT = "/usr/sbin/nft"
SITE, STRANGER = "192.0.2.1", "203.0.113.9"
#: Of the networks in the example, with packets a second and at once that the rules let through.
OPERATOR, TELEPHONE = ("198.51.100.2", 400, 800), ("10.20.0.5", 50, 200)
FLOOD = 20_000  # packets
CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


@dataclass
class Networks:
    """A site behind the rules, and what is outside; namespaces of networks by their names."""

    site: str
    outside: str

    def bind(self, inside: str, place: tuple[str, int]) -> socket.socket:
        """A UDP socket in one of them: a socket stays where the thread was that made it."""
        made: list[socket.socket] = []

        def make() -> None:
            with Path(f"/run/netns/{inside}").open() as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        made[0].setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        made[0].bind(place)
        return made[0]


SO_RCVBUFFORCE = 33  # Linux; Python does not name it


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def networks(tmp_path: Path) -> Iterator[Networks]:
    rules = tmp_path / "rules"
    text = (ROOT / "docs/operations/running.md").read_text()
    found = re.search(r"^table inet callcenter \{$.*?^\}$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    rules.write_text(found[0])
    unique = f"{os.getpid()}-{next(_numbers)}"
    with namespace(f"site-{unique}") as site, namespace(f"outside-{unique}") as outside:
        run("ip", "-n", site, "link", "add", "eth", "type", "veth", "peer", "eth", "netns", outside)
        run("ip", "-n", site, "addr", "add", f"{SITE}/32", "dev", "eth")
        for each in (STRANGER, OPERATOR[0], TELEPHONE[0]):
            run("ip", "-n", outside, "addr", "add", f"{each}/32", "dev", "eth")
        for each in (site, outside):
            run("ip", "-n", each, "link", "set", "eth", "up")
            run("ip", "-n", each, "route", "add", "default", "dev", "eth")
        run("ip", "netns", "exec", site, NFT, "-f", str(rules))
        yield Networks(site, outside)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    try:
        run("ip", "netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip("only root may make networks")
    try:
        yield name
    finally:
        run("ip", "netns", "del", name)


def test_strangers_and_floods_do_not_reach_the_port(networks: Networks) -> None:
    with closing(networks.bind(networks.site, (SITE, 5060))) as asterisk:
        assert flood(networks, STRANGER, asterisk) == (0, 0)
        for address, rate, burst in (OPERATOR, TELEPHONE):
            heard, seconds = flood(networks, address, asterisk)
            assert burst <= heard <= burst + rate * (seconds + 1)


def test_a_resolvers_socket_hears_answers_alone(networks: Networks) -> None:
    with (
        closing(networks.bind(networks.site, (SITE, 0))) as resolver,
        closing(networks.bind(networks.site, (SITE, 0))) as silent,
        closing(networks.bind(networks.outside, (STRANGER, 53))) as server,
    ):
        server.settimeout(5)
        resolver.settimeout(5)
        resolver.sendto(b"who is it", (STRANGER, 53))
        assert server.recv(100) == b"who is it"
        server.sendto(b"an answer", resolver.getsockname())
        assert resolver.recv(100) == b"an answer"
        # Both networks know each other's addresses now: what comes, comes at once.
        silent.settimeout(1)
        server.sendto(b"nobody asked", silent.getsockname())
        with pytest.raises(TimeoutError):
            silent.recv(100)


def flood(networks: Networks, source: str, server: socket.socket) -> tuple[int, float]:
    """How many of so many packets, sent as fast as can be, were heard, and how long it took."""
    began = time.monotonic()
    with closing(networks.bind(networks.outside, (source, 0))) as sender:
        for _ in range(FLOOD):
            sender.sendto(b"REGISTER sip:111 SIP/2.0\r\n\r\n", (SITE, 5060))
    seconds = time.monotonic() - began
    server.settimeout(1)
    heard = 0
    while True:
        try:
            server.recv(100)
        except TimeoutError:
            return heard, seconds if heard else 0
        heard += 1
