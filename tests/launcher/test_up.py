"""`callcenter up` as a person runs it: all real parts, in a folder and on ports of its own."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from pydantic import SecretStr
from pyrage import x25519

from callcenter.commands.check import CHECKS
from callcenter.launcher.port_check import with_free_ports
from callcenter.launcher.process_plan import ours
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.sipphone.phone import Phone
from callcenter.telephony.asterisk.open_files import files_needed, limit_of_asterisk
from tests.asterisk.switch import OPERATOR
from tests.launcher.rig import processes_of, wait_until_gone
from tests.polling import NotInTime, require_within
from tests.services import changed

pytestmark = pytest.mark.timeout(300)

Found = TypeVar("Found")

ANSWERING = 10.0  # seconds from Asterisk's death to a caller who is answered
PARTS = (
    *(
        "postgres",
        "redis",
        "asterisk",
        "watchdog",
        "line-1",
        "line-2",
        "web",
        "portal",
        "worker",
        "archiver",
    ),
)


class Running:
    """A running `callcenter up` whose output is in a file."""

    def __init__(self, settings: Settings, output: Path, programs: Path) -> None:
        self.settings, self.output, self.programs = settings, output, programs
        with output.open("w") as file:
            self.process = subprocess.Popen(
                # With fewer open files than Debian lets anybody have at first.
                ("prlimit", "--nofile=256:", programs / "callcenter", "up"),
                stdout=file,
                stderr=file,
                env=environment(settings),
                start_new_session=True,
            )

    def wait_for(self, pattern: str, timeout: float = 120) -> re.Match[str]:
        """Wait until the output has the pattern."""
        return self._poll(
            lambda: re.search(pattern, self.output.read_text(), re.MULTILINE), timeout
        )

    def wait_for_file(self, folder: Path, pattern: str, timeout: float = 120) -> Path:
        """Wait until a folder has a file like that, at any depth."""
        return self._poll(lambda: next(folder.rglob(pattern), None), timeout)

    def _poll(self, find: Callable[[], Found | None], timeout: float) -> Found:
        limit = time.monotonic() + timeout
        while (found := find()) is None:
            assert self.process.poll() is None, self.output.read_text()
            if time.monotonic() > limit:
                raise NotInTime(self.output.read_text())
            time.sleep(0.05)
        return found

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same copy."""
        return subprocess.run(
            (self.programs / "callcenter", *arguments),
            env=environment(self.settings),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def own_settings(settings: Settings, whole_prompts: Path) -> Settings:
    """Settings of all processes on free ports, with prompts made before; secrets are not."""
    shutil.rmtree(settings.secrets_folder)
    shutil.rmtree(settings.keys)
    shutil.copytree(whole_prompts, settings.prompts)
    archiving = changed(
        settings,
        backup_method="continuous",
        backups=SecretStr(str(settings.var / "copies")),
        recovery_keys=(str(x25519.Identity.generate().to_public()),),
    )
    return with_free_ports(archiving)


@pytest.fixture
def up(own_settings: Settings, runtime: Path, tmp_path: Path) -> Iterator[Running]:
    """The copy runs from what is locked to run, without the tools of development."""
    running = Running(own_settings, tmp_path / "output", runtime)
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGKILL)
    wait_until_gone(own_settings.var)


def test_up_runs_the_product_until_it_is_stopped(up: Running, own_settings: Settings) -> None:
    up.wait_for("^callcenter is ready$")
    for name in PARTS:
        pid = int(up.wait_for(rf"^{name} +ready  pid (\d+) +\S")[1])
        os.kill(pid, 0)
    address = f"http://{own_settings.web_address}:{own_settings.web_port}"
    up.wait_for(f"^web .*{re.escape(address)}$")
    with urllib.request.urlopen(f"{address}/health/ready", timeout=10) as answer:  # noqa: S310
        assert answer.status == 200
    # It ends by saying where to begin.
    link = up.wait_for(f"^pages: {re.escape(address)}\n.* administrator .*\n({address}/\\S+)$")[1]
    with urllib.request.urlopen(link, timeout=10) as page:  # noqa: S310
        assert 'name="name"' in page.read().decode()

    up.wait_for_file(own_settings.var / "copies" / "wal", "*.age")
    # Nobody is on the roster of a copy this young; all else is looked at and found well.
    checked = up.run("check").stdout.splitlines()
    assert [line.split()[1] for line in checked if line.startswith("  BAD")] == ["roster"]
    assert [line for line in checked if not line.startswith(" ")] == [*CHECKS]
    assert limit_of_asterisk(own_settings) == files_needed(own_settings)
    second = up.run("up")
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"already running in {own_settings.var} (pid {up.process.pid})" in second.stderr

    victim = int(up.wait_for(r"^line-1 +ready  pid (\d+)")[1])
    os.kill(victim, signal.SIGKILL)
    up.wait_for(
        rf"^line-1 +died \(killed by SIGKILL\).*\n(?:.*\n)*?line-1 +ready  pid (?!{victim} )"
    )

    switch = int(up.wait_for(r"^asterisk +ready  pid (\d+)")[1])
    killed_at = time.monotonic()
    os.kill(switch, signal.SIGKILL)
    up.wait_for(rf"^asterisk +died.*\n(?:.*\n)*?asterisk +ready  pid (?!{switch} )")
    asyncio.run(is_answered(own_settings))
    require_within(time.monotonic() - killed_at, ANSWERING, "the next call is answered")

    assert up.end(signal.SIGINT) == 0
    assert up.output.read_text().endswith("stopping\nstopped\n")
    assert processes_of(own_settings.var) == []


async def is_answered(settings: Settings) -> None:
    """Somebody calls 111, and hears something."""
    server = (str(settings.sip_address), settings.sip_port)
    async with Phone(address=OPERATOR, server=server, user="+77010000001") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_silence()
        async with asyncio.timeout(30):
            while "first_rtp" not in call.moments:
                await asyncio.sleep(0.05)
        await call.hang_up()


def test_up_stops_also_while_it_is_starting(up: Running, own_settings: Settings) -> None:
    up.wait_for("^redis +ready")
    assert up.end(signal.SIGTERM) == 0
    assert processes_of(own_settings.var) == []


def test_a_killed_up_takes_the_whole_product_with_it(up: Running, own_settings: Settings) -> None:
    up.wait_for("^callcenter is ready$")
    assert len(processes_of(own_settings.var)) >= len(PARTS)
    up.end(signal.SIGKILL)
    wait_until_gone(own_settings.var)


def test_up_names_a_port_in_use_and_starts_nothing(own_settings: Settings, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind((str(own_settings.sip_address), own_settings.sip_port))
        refused = subprocess.run(
            ours("up"), env=environment(own_settings), capture_output=True, text=True, timeout=60
        )
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert re.fullmatch(
        rf"callcenter: UDP port {own_settings.sip_port} .* in use by .*CALLCENTER_SIP_PORT.*\n",
        refused.stderr,
    )
    assert processes_of(own_settings.var) == []
