"""A controller on the other side of a real network, which can be cut without a word to anybody.

The controller runs in a network namespace of its own. There 127.0.0.1 leads over a pair of virtual
cables to this side, where Asterisk hears it; everything else is reached by UNIX sockets.
"""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

#: To a controller with a namespace of processes of its own, which can be told from all others.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_numbers = itertools.count()


class Network:
    """The way between a namespace and this side of the machine."""

    def __init__(self) -> None:
        unique = f"{os.getpid() % 100000:05}{next(_numbers) % 100:02}"
        self.name = f"cc{unique}"
        self.address = f"10.213.{os.getpid() % 250}.{next(_numbers) % 60 * 4 + 2}"
        self._here, self._there = f"ch{unique}", f"ct{unique}"

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command begins with that is to run on the other side."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Whatever is sent from now on is lost, in both directions, and nobody is told."""
        _run("ip", "link", "set", self._here, "down")

    def mend(self) -> None:
        _run("ip", "link", "set", self._here, "up")

    def lay(self) -> None:
        """Raises OSError where this machine lets nobody do so: only root may."""
        here = self.address.rpartition(".")[0] + f".{int(self.address.rpartition('.')[2]) - 1}"
        _run("ip", "netns", "add", self.name)
        cable = ("link", "add", self._here, "type", "veth", "peer", self._there)
        _run("ip", *cable, "netns", self.name)
        _run("ip", "addr", "add", f"{here}/30", "dev", self._here)
        _run("ip", "link", "set", self._here, "up")
        _run("sh", "-c", _routed(self._here))
        for command in (
            f"ip addr add {self.address}/30 dev {self._there}",
            f"ip link set {self._there} up",
            _routed(self._there),
            f"ip route add 127.0.0.1/32 via {here} src {self.address}",
        ):
            _run(*self.enter, "sh", "-c", command)

    def remove(self) -> None:
        subprocess.run(["ip", "link", "del", self._here], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


@contextmanager
def network() -> Iterator[Network]:
    """Raises OSError as `lay` does."""
    made = Network()
    try:
        made.lay()
        yield made
    finally:
        made.remove()


def _routed(device: str) -> str:
    """What lets addresses of the loopback come and go by this device."""
    return f"echo 1 >/proc/sys/net/ipv4/conf/{device}/route_localnet"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
