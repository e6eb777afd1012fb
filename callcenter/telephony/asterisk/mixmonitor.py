"""Recording by MixMonitor, confirmed started and stopped.

What proves what was measured on Asterisk 22.10 (docs/decisions/0003):

* Asterisk answers Success to MixMonitor, and sends MixMonitorStart, also when it cannot open the
  file: only the new file itself proves that it records.
* Success to StopMixMonitor comes after the file was closed. At a hang-up Asterisk closes it soon
  after, without an event: that no process has it open for writing any more is the proof.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from callcenter.platform.core.errors import OperationFailed
from callcenter.recordings.sealing.spool import has_room, is_closed
from callcenter.telephony.asterisk.ami import Ami, AmiActionFailed, AmiUnavailable
from callcenter.telephony.calls.ports import RecordingUnconfirmed

# Seconds for an answer, for the file to appear, and to undo it: parties who talk unrecorded, and
# their supervisors, are told so within two seconds.
START_TIMEOUT, UNDO_TIMEOUT = 0.8, 0.2
STOP_TIMEOUT = 5.0  # seconds for the file to be closed, a reconnection of AMI included
POLL_INTERVAL = 0.005  # seconds

# MixMonitor splits its arguments at commas (quotes and brackets hold them together), and what
# follows the second one is a shell command.
_SAFE_FILE = re.compile(r"""/[^\x00-\x1f,"'\\()\[\]{}$^|;]+\.raw""")


class MixMonitorRecorder:
    """Records into raw files: signed 16-bit little-endian, 8000 Hz, two channels.

    They are interleaved: left what the party says, right what it hears.

    The file must be on a local file system and belong to the user that runs this process.
    """

    def __init__(self, ami: Ami) -> None:
        self._ami = ami
        self._running: dict[Path, str] = {}

    async def start(self, channel: str, file: Path) -> None:
        """Record the channel of this name (as in `PJSIP/operator-00000001`) into a new file.

        Raises RecordingUnconfirmed, also for a file that is there already (it may be evidence), and
        for a file name that MixMonitor could misread.
        """
        if not _SAFE_FILE.fullmatch(str(file)):
            raise RecordingUnconfirmed(f"MixMonitor could misread the file name {file}")
        if _exists(file):
            if file in self._running:  # we asked for it, and Asterisk did it when we had given up
                return
            raise RecordingUnconfirmed(f"{file.name} exists already, and is never overwritten")
        # On a full disk Asterisk makes the file all the same, and writes nothing into it.
        if not has_room(file.parent):
            raise RecordingUnconfirmed(f"cannot record {file.name}: no room on the disk")
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
                timeout=START_TIMEOUT,
            )
            self._running[file] = answer.fields.get("MixMonitorID", "")
        except AmiUnavailable as exc:  # it may do it yet
            raise RecordingUnconfirmed(f"cannot start recording {file.name}: {exc}") from exc
        except OperationFailed as exc:
            del self._running[file]
            raise RecordingUnconfirmed(f"cannot start recording {file.name}: {exc}") from exc
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await _wait_until(lambda: _exists(file))
        except TimeoutError:
            if _exists(file):  # it was we who did not look
                return
            with suppress(RecordingUnconfirmed, TimeoutError):
                async with asyncio.timeout(UNDO_TIMEOUT):
                    await self.stop(channel, file, gone=False)
            raise RecordingUnconfirmed(
                f"Asterisk cannot write {file}; its log says why (disk full, no permission?)"
            ) from None

    async def stop(self, channel: str, file: Path, *, gone: bool) -> bool:
        """Return when the file is closed, at once when it was closed before.

        `gone` says that the channel has hung up, which ends the recording by itself. Returns
        whether it is empty: MixMonitor writes what it gets, so neither side sent a packet, unless
        the disk is full. Raises RecordingUnconfirmed, after `STOP_TIMEOUT` seconds at most.
        """
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                if not gone:
                    await self._request_stop(channel, file)
                await _wait_until(lambda: is_closed(file))
            return _is_empty(file)
        except (TimeoutError, OSError) as exc:
            raise RecordingUnconfirmed(
                f"cannot prove that {file.name} is closed: {str(exc) or 'still being written'}"
            ) from exc
        finally:
            self._running.pop(file, None)

    async def _request_stop(self, channel: str, file: Path) -> None:
        """Stop it, also after a lost connection: unlike a start, a stop may be repeated."""
        action = {"Action": "StopMixMonitor", "Channel": channel}
        if monitor := self._running.get(file):  # else another controller started it
            action["MixMonitorID"] = monitor
        while True:
            await self._ami.connected.wait()
            try:
                await self._ami.action(action)
            except AmiUnavailable:
                await asyncio.sleep(
                    POLL_INTERVAL
                )  # it may be known before the connection is not there
                continue
            except (
                AmiActionFailed
            ):  # it is not running, or the channel has gone: the file will tell
                pass
            return


async def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 there is no event
        await asyncio.sleep(POLL_INTERVAL)


def _is_empty(file: Path) -> bool:
    return file.stat().st_size == 0 and has_room(file.parent)


def _exists(file: Path) -> bool:
    return file.exists()
