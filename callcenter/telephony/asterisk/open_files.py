"""Open files (descriptors) of Asterisk: what its calls need, and what its process has.

Measured with Asterisk 22.10: a caller who waits opens five (RTP, RTCP, a timer, an alert pipe, what
is played), a recorded conversation eleven, nobody 21. Without one more Asterisk refuses a call with
488 or plays nothing, and says so in its log alone.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings

PORTS_PER_CALL = 4  #: RTP and RTCP of two legs
FILES_PER_CALL = 12
FILES_BESIDES = 256  #: connections, logs, calls that are being made


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """How many files a process has open, and how many it may."""

    count: int
    limit: int

    @property
    def share(self) -> float:
        return self.count / self.limit


def calls_at_once(settings: Settings) -> int:
    """The calls at once for which there are ports (`maxcalls`); the next one is refused (503)."""
    return (settings.rtp_end - settings.rtp_start + 1) // PORTS_PER_CALL


def files_needed(settings: Settings) -> int:
    """The files that so many calls at once open (`maxfiles`)."""
    return calls_at_once(settings) * FILES_PER_CALL + FILES_BESIDES


def check_limit(settings: Settings, limit: int) -> None:
    """Check that a process with this limit can serve the calls for which there are ports.

    Raises DependencyUnavailable that says what to do.
    """
    needed = files_needed(settings)
    if limit < needed:
        calls = max(1, (limit - FILES_BESIDES) // FILES_PER_CALL)
        raise DependencyUnavailable(
            f"Asterisk opens up to {needed} files for {calls_at_once(settings)} calls at once, and "
            f"may open {limit}: raise its hard limit (LimitNOFILE= of its unit, `ulimit -Hn`), or "
            f"let fewer call (CALLCENTER_RTP_END={settings.rtp_start + calls * PORTS_PER_CALL - 1})"
        )


def limit_of_asterisk(settings: Settings) -> int | None:
    """The limit of the running Asterisk of this copy; None when none is to be seen."""
    try:
        limits = (process_of_asterisk(settings) / "limits").read_text()
    except (OSError, ValueError):
        return None
    found = re.search(r"^Max open files +(\d+) ", limits, re.MULTILINE)
    return int(found[1]) if found else None


def open_files_of_asterisk(settings: Settings) -> OpenFiles | None:
    """The open files of the running Asterisk; None when none is to be seen. Blocks.

    From Linux 6.2 on the kernel tells everybody their count (proc(5)). Before, it shows them to
    Asterisk's own user: under systemd to controllers.
    """
    limit = limit_of_asterisk(settings)
    try:
        descriptors = process_of_asterisk(settings) / "fd"
        count = descriptors.stat().st_size or sum(1 for _ in descriptors.iterdir())
    except (OSError, ValueError):
        return None
    return OpenFiles(count, limit) if limit else None


def process_of_asterisk(settings: Settings) -> Path:
    """The folder in /proc of the Asterisk of this copy.

    Raises OSError or ValueError when none has said that it runs.
    """
    pid = int((settings.asterisk_folder / "run" / "asterisk.pid").read_text())
    return Path("/proc", str(pid))
