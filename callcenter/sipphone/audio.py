"""Audio: G.711, tones, levels, and recognition of prompts.

Samples are numpy int16, one channel, 8000 Hz unless a `rate` says otherwise. Levels are in dBFS:
a sine that fills the whole range is 0 dBFS, and nothing at all is `SILENCE` (-120).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RATE = 8000
SILENCE = -120.0
#: A switch may leave out the first or the last frames of what it plays.
_LEFT_OUT = RATE * 40 // 1000

Pcm = NDArray[np.int16]
Codec = Literal["PCMA", "PCMU"]


def _alaw_values() -> Pcm:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    mantissa, exponent = code & 0x0F, (code >> 4) & 0x07
    value = np.where(
        exponent == 0,
        (mantissa << 4) + 8,
        ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0),
    )
    return np.where(code & 0x80, value, -value).astype(np.int16)


def _ulaw_values() -> Pcm:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    value = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 0x07)) - 0x84
    return np.where(code & 0x80, -value, value).astype(np.int16)


def _nearest_codes(values: Pcm) -> NDArray[np.uint8]:
    """The code nearest to each int16 (shifted by 32768)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order].astype(np.int32)
    edges = (ordered[:-1] + ordered[1:]) / 2
    codes = order[np.searchsorted(edges, np.arange(-32768, 32768), side="left")]
    return codes.astype(np.uint8)


_VALUES: dict[Codec, Pcm] = {"PCMA": _alaw_values(), "PCMU": _ulaw_values()}
_CODES: dict[Codec, NDArray[np.uint8]] = {
    name: _nearest_codes(values) for name, values in _VALUES.items()
}


def encode(pcm: Pcm, codec: Codec) -> bytes:
    """G.711 (`PCMA` is A-law, `PCMU` mu-law), one byte a sample, by the nearest code."""
    return _CODES[codec][pcm.astype(np.int32) + 32768].tobytes()


def decode(data: bytes, codec: Codec) -> Pcm:
    """The samples of G.711 data; every byte is valid."""
    return _VALUES[codec][np.frombuffer(data, np.uint8)]


def tone(hertz: float, seconds: float, *, level: float = -13.0, rate: int = RATE) -> Pcm:
    """A sine of `level` dBFS that begins at phase 0."""
    time = np.arange(round(seconds * rate)) / rate
    amplitude = 32767 * 10 ** (level / 20)
    wave: Pcm = np.round(amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.int16)
    return wave


def loudness(pcm: Pcm, hertz: float, rate: int = RATE) -> float:
    """The level of one frequency in all of `pcm`, in dBFS (Goertzel: one bin)."""
    if len(pcm) == 0:
        return SILENCE
    turn = np.exp(-2j * np.pi * hertz / rate * np.arange(len(pcm)))
    return _decibels(2 * abs(np.dot(pcm.astype(np.float64), turn)) / len(pcm) / 32768)


def level(pcm: Pcm) -> float:
    """The level of `pcm` over all frequencies, in dBFS of the sine of the same power."""
    if len(pcm) == 0:
        return SILENCE
    return _decibels(float(np.sqrt(2 * np.mean(pcm.astype(np.float64) ** 2))) / 32768)


def is_silent(pcm: Pcm, threshold: float = -50.0) -> bool:
    """Whether no stretch of 20 ms is louder than `threshold` dBFS."""
    return first_loud(pcm, threshold) is None


def first_loud(pcm: Pcm, threshold: float = -50.0, rate: int = RATE) -> float | None:
    """Seconds from the start to the first 20 ms louder than `threshold` dBFS; None if silent."""
    block = rate // 50
    whole = np.zeros(-(-len(pcm) // block) * block)
    whole[: len(pcm)] = pcm
    power = np.mean(whole.reshape(-1, block) ** 2, axis=1)
    loud = np.flatnonzero(np.sqrt(2 * power) / 32768 > 10 ** (threshold / 20))
    return float(loud[0] * block / rate) if len(loud) else None


@dataclass(frozen=True, slots=True)
class ToneMatch:
    """The place of a reference in received audio."""

    likeness: float  #: from 0 (not there) to 1 (exactly there); 0.8 is a sure yes
    begins_at: float  #: seconds from the start of what was heard


def find(heard: Pcm, reference: Pcm, *, seconds: float | None = 1.0) -> ToneMatch:
    """Find the most likely place of the beginning of `reference` in `heard`.

    Compares the first `seconds` of the reference's sound (leading silence does not count), or the
    whole of it when `seconds` is None or it is shorter: so a prompt that a key has cut is found by
    its beginning, and one that must be played to its end is asked for whole. The measure is the
    peak of the normalised cross-correlation: loudness does not matter, G.711 hardly does.
    """
    starts = first_loud(reference)
    if starts is None:
        return ToneMatch(0.0, 0.0)
    skipped = round(starts * RATE)
    needed = None if seconds is None else skipped + round(seconds * RATE)
    sought = reference[skipped:needed].astype(np.float64)
    padded = np.pad(heard.astype(np.float64), _LEFT_OUT)
    likeness = _correlation(padded, sought)
    if len(likeness) == 0:
        return ToneMatch(0.0, 0.0)
    best = int(np.argmax(likeness))
    return ToneMatch(float(likeness[best]), (best - _LEFT_OUT - skipped) / RATE)


def resembles(heard: Pcm, reference: Pcm, *, seconds: float | None = 1.0) -> float:
    """The likelihood, from 0 to 1, that `reference` was played within `heard`: see `find`."""
    return find(heard, reference, seconds=seconds).likeness


def _correlation(heard: NDArray[np.float64], sought: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised cross-correlation at every place where `sought` fits into `heard` whole."""
    places = len(heard) - len(sought) + 1
    if places <= 0:
        return np.zeros(0)
    size = 1 << (len(heard) + len(sought) - 1).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sought, size))
    products = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate(([0.0], np.cumsum(heard**2)))
    energy = sums[len(sought) :] - sums[:places]
    # Rounding and codec noise in silence must not be blown up into a likeness: what is 60 dB
    # quieter than the reference counts as nothing.
    own = float(np.sum(sought**2))
    scale = np.sqrt(own * np.maximum(energy, own * 1e-6))
    likeness: NDArray[np.float64] = np.clip(products / scale, 0.0, 1.0)
    return likeness


def _decibels(amplitude: float) -> float:
    return max(SILENCE, 20 * float(np.log10(max(amplitude, 1e-6))))
