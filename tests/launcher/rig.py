"""What the tests of the supervisor share: small real programs, and proof that they are gone."""

import gzip
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from callcenter.launcher.managed_process import ProcessSpec
from callcenter.launcher.supervisor import LaunchPlan, LaunchStep, ProcessSupervisor
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.telephony.asterisk.config.private_tree import stamp
from tests.polling import NotInTime

# A process that says it is ready, then waits to be stopped.
SERVES = """
    import signal
    from callcenter.launcher.sd_notify import ready
    ready("nowhere")
    signal.pause()
"""


def joined(*texts: str) -> str:
    """One program of several indented pieces."""
    return "\n".join(map(textwrap.dedent, texts))


def script(text: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-c", joined(text), *map(str, arguments))


def part(name: str, text: str = SERVES, *arguments: object, **options: Any) -> ProcessSpec:
    return ProcessSpec(name=name, command=script(text, *arguments), **options)


class Copy(ProcessSupervisor):
    """A supervisor of given stages that remembers what it said."""

    def __init__(self, settings: Settings, *stages: Sequence[ProcessSpec | LaunchStep]) -> None:
        self.said: list[str] = []
        super().__init__(settings, lambda *_: LaunchPlan(stages), self.said.append)

    def heard(self, *words: str) -> bool:
        """Whether some line has all these words."""
        return any(all(word in line for word in words) for line in self.said)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that has this folder in its environment: what a copy started, at any depth."""
    mark = f"CALLCENTER_VAR={folder}"
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and mark in environment_of(process) and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def environment_of(process: psutil.Process) -> list[str]:
    # PostgreSQL writes its titles over the environment, which psutil refuses to parse.
    try:
        raw = Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return []
    return raw.decode(errors="replace").split("\0")


def wait_until_gone(folder: Path, timeout: float = 20) -> None:
    limit = time.monotonic() + timeout
    while left := processes_of(folder):
        if time.monotonic() > limit:
            raise NotInTime(f"still running: {left}")
        time.sleep(0.02)


def asterisk_tree(tree: Path, version: str) -> Path:
    """A tree with the real Asterisk, which says that its package has this version."""
    for name in ("lib", "lib64", "sbin", "share/asterisk"):
        link = tree / "usr" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(ROOT / "var" / "asterisk-tree" / "usr" / name)
    changelog = tree / "usr" / "share" / "doc" / "asterisk" / "changelog.Debian.gz"
    changelog.parent.mkdir(parents=True)
    changelog.write_bytes(gzip.compress(f"asterisk ({version}) unstable; urgency=low\n".encode()))
    stamp(tree).parent.mkdir(parents=True)
    stamp(tree).touch()
    return tree
