"""From the raw file that the switch wrote to a lossless FLAC in the store.

Raw: signed 16-bit little-endian, 8000 Hz, two interleaved channels; left is what the caller says,
right what the caller hears. These functions block; everything goes by blocks, so memory does not
grow with the length.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from callcenter.errors import WeFailed
from callcenter.recordings.spool import is_closed

RATE = 8000
CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
BLOCK_FRAMES = 64 * 1024
# Level 3 of 8: a quarter less CPU than libsndfile's own choice, for files 2 % larger; levels above
# that choice cost more than twice the CPU for 1 % less (docs/performance.md).
COMPRESSION = 3 / 8


class Unfit(WeFailed):
    """The raw file cannot become a recording."""


class StillWritten(WeFailed):
    """The switch has not closed the file yet: what comes after would be missing."""


class Unlike(WeFailed):
    """The stored recording does not read back as what was recorded."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A verified file in the store: SHA-256 in hexadecimal and size of the file, audio in ms."""

    sha256: str
    bytes: int
    duration_ms: int


def keep(raw: Path, target: Path) -> Kept:
    """Make `target`, whole and verified, from `raw`, which stays as it is.

    May be repeated and killed at any moment, but not run twice at once: the target appears under
    its name only when it is on the disk and reads back as the raw file; `sync` its folder before
    you rely on the name. Raises Unfit when the raw file is missing, empty or partial,
    StillWritten when it is not closed, Unlike when reading back differs, OSError when the disk
    fails or is full.
    """
    with _closed(raw) as source:
        frames = _frames(source)
        folder = target.parent
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{target.name}.part"
        _encode(source, unfinished)
        _verify(source, unfinished)
        kept = Kept(sha256_of(unfinished), unfinished.stat().st_size, frames * 1000 // RATE)
        unfinished.replace(target)
    return kept


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """Put the names in a folder on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _closed(raw: Path) -> BinaryIO:
    """The raw file, proved closed: one may be noted as ended without proof, as when AMI was cut."""
    try:
        source = raw.open("rb")
    except FileNotFoundError as exc:
        raise Unfit("the file that the switch should have written is missing") from exc
    if not is_closed(raw):
        source.close()
        raise StillWritten
    return source


def _frames(source: BinaryIO) -> int:
    size = os.fstat(source.fileno()).st_size
    if size == 0:
        raise Unfit("the file that the switch wrote is empty")
    if size % FRAME_BYTES:
        raise Unfit(
            f"the file that the switch wrote is partial: {size} bytes are no whole number of"
            f" frames of {FRAME_BYTES} bytes"
        )
    return size // FRAME_BYTES


def _blocks(source: BinaryIO) -> Iterator[npt.NDArray[np.int16]]:
    source.seek(0)
    while data := source.read(BLOCK_FRAMES * FRAME_BYTES):
        yield np.frombuffer(data, dtype="<i2").reshape(-1, CHANNELS)


def _encode(source: BinaryIO, unfinished: Path) -> None:
    with open(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
        # By the file and not by its number: libsndfile would wait for the disk once more.
        with soundfile.SoundFile(
            file,
            "w",
            samplerate=RATE,
            channels=CHANNELS,
            format="FLAC",
            subtype="PCM_16",
            compression_level=COMPRESSION,
        ) as flac:
            for block in _blocks(source):
                flac.write(block)
        file.flush()
        os.fsync(file.fileno())


def _verify(source: BinaryIO, unfinished: Path) -> None:
    with soundfile.SoundFile(unfinished) as flac:
        if (flac.samplerate, flac.channels) != (RATE, CHANNELS):
            raise Unlike
        for block in _blocks(source):
            if not np.array_equal(flac.read(len(block), dtype="int16", always_2d=True), block):
                raise Unlike
        if len(flac.read(1)):
            raise Unlike
