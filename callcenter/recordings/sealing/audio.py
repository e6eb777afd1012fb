"""Encodes the raw file of the switch into the format of recordings, and verifies it.

Raw: signed 16-bit little-endian, 8000 Hz, two interleaved channels; left is what the caller says,
right what the caller hears. These functions block; everything goes by blocks, so memory does not
grow with the length.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from callcenter.platform.core.errors import OperationFailed
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing.spool import is_closed

RATE = 8000
CHANNELS = 2
FRAME_BYTES = 2 * CHANNELS
BLOCK_FRAMES = 64 * 1024
# Level 3 of 8: a quarter less CPU than libsndfile's own choice, for files 2 % larger; levels above
# that choice cost more than twice the CPU for 1 % less (docs/performance.md).
FLAC_LEVEL = 3 / 8
# 24 kbit/s for each channel, on libsndfile's scale from 256 to 6. Speech of a telephone is clear,
# and what one party says is not heard in the other's channel (docs/decisions/0038).
OPUS_LEVEL = (256 - 24) / (256 - 6)
WRITTEN_AS: dict[Format, dict[str, Any]] = {
    Format.FLAC: {"format": "FLAC", "subtype": "PCM_16", "compression_level": FLAC_LEVEL},
    Format.OPUS: {"format": "OGG", "subtype": "OPUS", "compression_level": OPUS_LEVEL},
}
SILENCE = 100.0  # of 32768: what is quieter than that on the whole is not compared
LOUDER = 2.0  # or quieter by more than this the whole of a channel is not as it was recorded


class Encoded(NamedTuple):
    """Encoded audio: its length in ms, and the bytes of a partial frame that were left out."""

    duration_ms: int
    partial_bytes: int


class UnusableAudio(OperationFailed):
    """The raw file cannot become a recording."""


class StillOpen(OperationFailed):
    """The switch has not closed the file yet: what comes after would be missing."""


class VerificationFailed(OperationFailed):
    """The stored recording does not read back as what was recorded."""


def encode(
    raw: Path, target: BinaryIO, written: Format = Format.FLAC, comment: str = ""
) -> Encoded:
    """Encode `raw`, which stays as it is, into an empty file, with this Vorbis comment.

    It was read back and compared when this returns: FLAC sample by sample, Opus in its length and
    in the loudness of each channel. A partial frame at the end, as a killed switch or a full disk
    leaves it, is left out. Raises UnusableAudio when the raw file is missing or has no whole frame,
    StillOpen when it is not closed, VerificationFailed when reading back differs, OSError when the
    disk fails or is full.
    """
    with _closed(raw) as source:
        frames, partial_bytes = _frames(source)
        write_encoded(source, target, written, comment)
        target.seek(0)
        verify_encoded(source, target, written, comment)
    return Encoded(frames * 1000 // RATE, partial_bytes)


def probe(encoded: BinaryIO) -> tuple[int, str]:
    """Decode the whole of an encoded file; its length in ms, and its comment.

    Raises VerificationFailed when it does not decode to its end.
    """
    try:
        with soundfile.SoundFile(encoded) as file:
            frames = sum(map(len, file.blocks(BLOCK_FRAMES, dtype="int16", always_2d=True)))
            if frames != file.frames or (file.samplerate, file.channels) != (RATE, CHANNELS):
                raise VerificationFailed
            return frames * 1000 // RATE, str(file.comment)
    except soundfile.LibsndfileError as exc:
        raise VerificationFailed from exc


def raw_length(size: int) -> timedelta:
    """How long a raw file of so many bytes lasts."""
    return timedelta(seconds=size / FRAME_BYTES / RATE)


def _closed(raw: Path) -> BinaryIO:
    """Open the raw file, proved closed.

    A recording may be noted as ended without proof, as when AMI was cut.
    """
    try:
        source = raw.open("rb")
    except FileNotFoundError as exc:
        raise UnusableAudio("the file that the switch should have written is missing") from exc
    if not is_closed(raw):
        source.close()
        raise StillOpen
    return source


def _frames(source: BinaryIO) -> tuple[int, int]:
    """The number of whole frames, and of bytes after them."""
    size = os.fstat(source.fileno()).st_size
    if size < FRAME_BYTES:
        raise UnusableAudio("the file that the switch wrote is empty")
    return divmod(size, FRAME_BYTES)


def _blocks(source: BinaryIO) -> Iterator[npt.NDArray[np.int16]]:
    source.seek(0)
    while data := source.read(BLOCK_FRAMES * FRAME_BYTES):
        whole = len(data) // FRAME_BYTES * FRAME_BYTES
        yield np.frombuffer(data[:whole], dtype="<i2").reshape(-1, CHANNELS)


def write_encoded(source: BinaryIO, target: BinaryIO, written: Format, comment: str) -> None:
    # By the file and not by its number, which libsndfile would close.
    with soundfile.SoundFile(
        target, "w", samplerate=RATE, channels=CHANNELS, **WRITTEN_AS[written]
    ) as file:
        if comment:
            file.comment = comment
        for block in _blocks(source):
            file.write(block)
    target.flush()


def verify_encoded(source: BinaryIO, target: BinaryIO, written: Format, comment: str) -> None:
    recorded, encoded, frames = np.zeros(CHANNELS), np.zeros(CHANNELS), 0
    with soundfile.SoundFile(target) as file:
        if (file.samplerate, file.channels) != (RATE, CHANNELS):
            raise VerificationFailed
        for block in _blocks(source):
            read = file.read(len(block), dtype="int16", always_2d=True)
            if len(read) != len(block):
                raise VerificationFailed
            if written is Format.FLAC and not np.array_equal(read, block):
                raise VerificationFailed
            if written is Format.OPUS:
                recorded += np.square(block, dtype=np.float64).sum(axis=0)
                encoded += np.square(read, dtype=np.float64).sum(axis=0)
                frames += len(block)
        if len(file.read(1)) or file.comment != comment:
            raise VerificationFailed
    if written is Format.OPUS:
        _compare_loudness(np.sqrt(recorded / frames), np.sqrt(encoded / frames))


def _compare_loudness(recorded: npt.NDArray[np.float64], encoded: npt.NDArray[np.float64]) -> None:
    ratio = np.maximum(encoded, SILENCE) / np.maximum(recorded, SILENCE)
    if np.any((ratio > LOUDER) | (ratio < 1 / LOUDER)):
        raise VerificationFailed
