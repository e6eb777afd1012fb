"""Recording of a conversation by MixMonitor, proved started and stopped.

What proves what was measured on Asterisk 22.10 (docs/decisions/0003-recording-in-two-channels.md):

* Asterisk answers Success to MixMonitor, and sends MixMonitorStart, also when it cannot open the
  file: only the new file itself proves that it records.
* Success to StopMixMonitor comes after the file was closed. At a hang-up Asterisk closes it soon
  after, and tells nobody: that no process has it open for writing any more is the proof.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from callcenter.asterisk.ami import Ami, Refused, Unreachable
from callcenter.errors import WeFailed
from callcenter.line.ports import RecordingUnproved
from callcenter.recordings.spool import has_room, is_closed

# Seconds for an answer, for the file to appear, and to undo it: who talks unrecorded, and their
# supervisors, are told so within two seconds.
START_LIMIT, UNDO_LIMIT = 0.8, 0.2
STOP_LIMIT = 5.0  # seconds for the file to be closed, a reconnection of AMI included
LOOK_EVERY = 0.005  # seconds

# MixMonitor splits its arguments at commas (quotes and brackets hold them together), and what
# follows the second one is a shell command.
_SAFE_FILE = re.compile(r"""/[^\x00-\x1f,"'\\()\[\]{}$^|;]+\.raw""")


class Recorder:
    """Records into raw files: two interleaved channels (left what the party says, right what it
    hears), signed 16-bit little-endian, 8000 Hz.

    The file must be on a local file system and belong to the user that runs this process.
    """

    def __init__(self, ami: Ami) -> None:
        self._ami = ami
        self._running: dict[Path, str] = {}

    async def start(self, channel: str, file: Path) -> None:
        """Record the channel of this name (as in `PJSIP/operator-00000001`) into a new file.

        Raises RecordingUnproved, also for a file that is there already (it may be evidence), and
        for a file name that MixMonitor could misread.
        """
        if not _SAFE_FILE.fullmatch(str(file)):
            raise RecordingUnproved(f"MixMonitor could misread the file name {file}")
        if _exists(file):
            if file in self._running:  # we asked for it, and Asterisk did it when we had given up
                return
            raise RecordingUnproved(f"{file.name} exists already, and is never overwritten")
        # On a full disk Asterisk makes the file all the same, and writes nothing into it.
        if not has_room(file.parent):
            raise RecordingUnproved(f"cannot record {file.name}: no room on the disk")
        self._running[file] = ""
        try:
            answer = await self._ami.action(
                {
                    "Action": "MixMonitor",
                    "Channel": channel,
                    "File": str(file),
                    # D: two channels in one file; i: the answer holds the id by which to stop
                    "Options": "Di(CALLCENTER_RECORDING)",
                },
                timeout=START_LIMIT,
            )
            self._running[file] = answer.fields.get("MixMonitorID", "")
        except Unreachable as exc:  # it may do it yet
            raise RecordingUnproved(f"cannot start recording {file.name}: {exc}") from exc
        except WeFailed as exc:
            del self._running[file]
            raise RecordingUnproved(f"cannot start recording {file.name}: {exc}") from exc
        try:
            async with asyncio.timeout(START_LIMIT):
                await _until(lambda: _exists(file))
        except TimeoutError:
            with suppress(RecordingUnproved, TimeoutError):
                async with asyncio.timeout(UNDO_LIMIT):
                    await self.stop(channel, file, gone=False)
            raise RecordingUnproved(
                f"Asterisk cannot write {file}; its log says why (disk full, no permission?)"
            ) from None

    async def stop(self, channel: str, file: Path, *, gone: bool) -> None:
        """Return when the file is closed, at once when it was closed before.

        `gone` says that the channel has hung up, which ends the recording by itself. Raises
        RecordingUnproved, after `STOP_LIMIT` seconds at most.
        """
        try:
            async with asyncio.timeout(STOP_LIMIT):
                if not gone:
                    await self._ask_to_stop(channel, file)
                await _until(lambda: is_closed(file))
        except (TimeoutError, OSError) as exc:
            raise RecordingUnproved(
                f"cannot prove that {file.name} is closed: {str(exc) or 'still being written'}"
            ) from exc
        finally:
            self._running.pop(file, None)

    async def _ask_to_stop(self, channel: str, file: Path) -> None:
        """Asked again after a lost connection: unlike a start, a stop may be repeated."""
        action = {"Action": "StopMixMonitor", "Channel": channel}
        if known := self._running.get(file):  # else another controller started it
            action["MixMonitorID"] = known
        while True:
            await self._ami.connected.wait()
            try:
                await self._ami.action(action)
            except Unreachable:
                await asyncio.sleep(
                    LOOK_EVERY
                )  # it may be known before the connection is not there
                continue
            except Refused:  # it is not running, or the channel has gone: the file will tell
                pass
            return


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 a file tells nobody that it was opened or closed
        await asyncio.sleep(LOOK_EVERY)


def _exists(file: Path) -> bool:
    return file.exists()
