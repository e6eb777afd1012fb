"""From the raw file that the switch wrote to the format that recordings are kept in.

Raw: signed 16-bit little-endian, 8000 Hz, two interleaved channels; left is what the caller says,
right what the caller hears. These functions block; everything goes by blocks, so memory does not
grow with the length.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from callcenter.errors import WeFailed
from callcenter.recordings.formats import Format
from callcenter.recordings.spool import is_closed

RATE = 8000
CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
BLOCK_FRAMES = 64 * 1024
# Level 3 of 8: a quarter less CPU than libsndfile's own choice, for files 2 % larger; levels above
# that choice cost more than twice the CPU for 1 % less (docs/performance.md).
FLAC_LEVEL = 3 / 8
# 24 kbit/s for each channel, on libsndfile's scale from 256 to 6. Speech of a telephone is clear,
# and what one party says is not heard in the other's channel (docs/decisions/0039).
OPUS_LEVEL = (256 - 24) / (256 - 6)
WRITTEN_AS: dict[Format, dict[str, Any]] = {
    Format.FLAC: {"format": "FLAC", "subtype": "PCM_16", "compression_level": FLAC_LEVEL},
    Format.OPUS: {"format": "OGG", "subtype": "OPUS", "compression_level": OPUS_LEVEL},
}
SILENCE = 100.0  # of 32768: what is quieter than that on the whole is not compared
LOUDER = 2.0  # or quieter by more than this the whole of a channel is not as it was recorded


class Unfit(WeFailed):
    """The raw file cannot become a recording."""


class StillWritten(WeFailed):
    """The switch has not closed the file yet: what comes after would be missing."""


class Unlike(WeFailed):
    """The stored recording does not read back as what was recorded."""


def encode(raw: Path, target: BinaryIO, written: Format = Format.FLAC) -> int:
    """Write the audio of `raw`, which stays as it is, to an empty file; returns its length in ms.

    It was read back and compared when this returns: FLAC sample by sample, Opus in its length
    and in the loudness of each channel. Raises Unfit when the raw file is missing, empty or
    partial, StillWritten when it is not closed, Unlike when reading back differs, OSError when the
    disk fails or is full.
    """
    with _closed(raw) as source:
        frames = _frames(source)
        _write(source, target, written)
        target.seek(0)
        _verify(source, target, written)
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


def _write(source: BinaryIO, target: BinaryIO, written: Format) -> None:
    # By the file and not by its number, which libsndfile would close.
    with soundfile.SoundFile(
        target, "w", samplerate=RATE, channels=CHANNELS, **WRITTEN_AS[written]
    ) as file:
        for block in _blocks(source):
            file.write(block)
    target.flush()


def _verify(source: BinaryIO, target: BinaryIO, written: Format) -> None:
    recorded, kept, frames = np.zeros(CHANNELS), np.zeros(CHANNELS), 0
    with soundfile.SoundFile(target) as file:
        if (file.samplerate, file.channels) != (RATE, CHANNELS):
            raise Unlike
        for block in _blocks(source):
            read = file.read(len(block), dtype="int16", always_2d=True)
            if len(read) != len(block):
                raise Unlike
            if written is Format.FLAC and not np.array_equal(read, block):
                raise Unlike
            if written is Format.OPUS:
                recorded += np.square(block, dtype=np.float64).sum(axis=0)
                kept += np.square(read, dtype=np.float64).sum(axis=0)
                frames += len(block)
        if len(file.read(1)):
            raise Unlike
    if written is Format.OPUS:
        _compare_loudness(np.sqrt(recorded / frames), np.sqrt(kept / frames))


def _compare_loudness(recorded: npt.NDArray[np.float64], kept: npt.NDArray[np.float64]) -> None:
    ratio = np.maximum(kept, SILENCE) / np.maximum(recorded, SILENCE)
    if np.any((ratio > LOUDER) | (ratio < 1 / LOUDER)):
        raise Unlike
