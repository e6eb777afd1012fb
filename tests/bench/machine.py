"""Where figures were taken: without this they mean nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from callcenter.platform.core.settings import ROOT, Settings
from callcenter.telephony.asterisk.config.binary import find_asterisk


def about(command: str) -> dict[str, str]:
    """The machine, the versions and the command of a run."""
    asterisk = find_asterisk(Settings(_env_file=None)).version
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory()} GB, Linux "
        f"{platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "versions": f"Python {platform.python_version()}, Asterisk "
        f"{'.'.join(map(str, asterisk))}, tree {_revision()}",
        "command": command,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def _revision() -> str:
    try:
        reported = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return reported.stdout.strip()
