"""Audio of a recording, laid out in plain for the switch to play, for one listening only.

It lies in a folder that nobody else may look into, for a time that is set as it is laid out: a
file's time of modification is when it has to go, so that whichever worker lives removes it.
"""

import asyncio
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import UUID

import soundfile
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.recordings.opening import Opened, open_recording
from callcenter.recordings.vault import Vault
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work

log = logging.getLogger(__name__)

LONGEST = 3600.0  # seconds for which anything is laid out
LOOK_EVERY = 1.0  # seconds between two looks for what has to go
BLOCK_FRAMES = 64 * 1024
UNFINISHED = 60.0  # seconds within which a file is written
SUFFIX = ".alaw"
#: Why it is listened to, in the audit log: nobody chooses a message, the desk offers it on duty.
OFFERED = "message_offered_on_duty"


@dataclass(frozen=True, slots=True)
class Listening:
    """Somebody, as the audit log names them, is about to hear what the caller said.

    `name` is that of the file, without what tells its format; it lies there for so many `seconds`
    longer than it is.
    """

    recording_id: UUID
    name: UUID
    seconds: float
    who: str


def file_of(settings: Settings, name: UUID) -> Path:
    """Where audio with this name is laid out, without its suffix, as the switch plays it."""
    return settings.laid_out / str(name)


async def lay_out(settings: Settings, engine: AsyncEngine, listening: Listening) -> float:
    """Lay out what the caller said in a recording; returns its length in seconds.

    That it is listened to is in the audit log before a sound of it is read. Raises what
    `open_recording` and reading what it opened do, OSError, SQLAlchemyError.
    """
    async with unit_of_work(engine) as connection:
        opened = await open_recording(connection, Vault(settings), listening.recording_id)
        found = opened.recording
        await record(
            connection,
            who=listening.who,
            action=Action.RECORDING_PLAYED,
            subject=f"recording:{found.id}",
            detail={"appeal": str(found.appeal_id), "reason": OFFERED},
        )
    length = (found.duration_ms or 0) / 1000
    until = time.time() + min(length + listening.seconds, LONGEST)
    target = file_of(settings, listening.name).with_suffix(SUFFIX)
    await asyncio.to_thread(_write, opened, target, until)
    return length


def take_away(settings: Settings, name: UUID) -> None:
    """Remove what was laid out; no error when it has gone. Raises OSError."""
    file_of(settings, name).with_suffix(SUFFIX).unlink(missing_ok=True)


async def tidy(settings: Settings) -> None:
    """Until cancelled, remove what has lain there for as long as it may, whoever laid it out."""
    while True:
        try:
            await asyncio.to_thread(_remove_old, settings.laid_out, time.time())
        except OSError as exc:
            log.error("audio that was laid out cannot be removed: %s", exc)
        await asyncio.sleep(LOOK_EVERY)


def _remove_old(folder: Path, now: float) -> None:
    for entry in os.scandir(folder) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            unfinished = entry.name.startswith(".")  # and left behind, if it is as old as that
            if entry.stat().st_mtime + (UNFINISHED if unfinished else 0) <= now:
                Path(entry).unlink()


def _write(opened: Opened, target: Path, until: float) -> None:
    """The left channel, in A-law."""
    with opened.audio as audio:
        whole = BytesIO(audio.read())  # a library that reads by itself would hide what is wrong
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}")
    with (
        soundfile.SoundFile(whole) as source,
        open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        soundfile.SoundFile(
            file, "w", samplerate=source.samplerate, channels=1, format="RAW", subtype="ALAW"
        ) as plain,
    ):
        for block in source.blocks(BLOCK_FRAMES, dtype="int16", always_2d=True):
            plain.write(block[:, 0])
    os.utime(unfinished, (until, until))
    switch = target.parent.stat()
    if switch.st_uid != os.geteuid():  # its user has this folder, and is not the worker's
        os.chown(unfinished, switch.st_uid, switch.st_gid)
    unfinished.replace(target)
