"""From the raw file that the switch wrote to lossless FLAC.

Raw: signed 16-bit little-endian, 8000 Hz, two interleaved channels; left is what the caller says,
right what the caller hears. These functions block; everything goes by blocks, so memory does not
grow with the length.
"""

import os
from collections.abc import Iterator
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


def encode(raw: Path, target: BinaryIO) -> int:
    """Write the FLAC of `raw`, which stays as it is, to an empty file; returns its length in ms.

    It was read back and compared, sample by sample, when this returns. Raises Unfit when the raw
    file is missing, empty or partial, StillWritten when it is not closed, Unlike when reading back
    differs, OSError when the disk fails or is full.
    """
    with _closed(raw) as source:
        frames = _frames(source)
        _write(source, target)
        target.seek(0)
        _verify(source, target)
    return frames * 1000 // RATE


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


def _write(source: BinaryIO, target: BinaryIO) -> None:
    # By the file and not by its number, which libsndfile would close.
    with soundfile.SoundFile(
        target,
        "w",
        samplerate=RATE,
        channels=CHANNELS,
        format="FLAC",
        subtype="PCM_16",
        compression_level=COMPRESSION,
    ) as flac:
        for block in _blocks(source):
            flac.write(block)
    target.flush()


def _verify(source: BinaryIO, target: BinaryIO) -> None:
    with soundfile.SoundFile(target) as flac:
        if (flac.samplerate, flac.channels) != (RATE, CHANNELS):
            raise Unlike
        for block in _blocks(source):
            if not np.array_equal(flac.read(len(block), dtype="int16", always_2d=True), block):
                raise Unlike
        if len(flac.read(1)):
            raise Unlike
