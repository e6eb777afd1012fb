"""Signal processing of prompt audio, from a recorded voice to A-law for the trunk.

Samples are floats in -1..1 (full scale is 0 dBFS); the result is A-law, 8000 Hz, mono (G.711).
"""

import io
from itertools import pairwise

import numpy as np
import soundfile
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

Samples = NDArray[np.float64]

RATE = 8000  #: of everything that is played to the telephone network
SPEECH_LEVEL = -20.0  #: dBFS, RMS while the voice is active; the same for every prompt
HUSH_LEVEL = -50.0  #: dBFS of the noise in our pauses
PEAK = 0.89  #: -1 dBFS: no sample goes above, A-law has no room beyond full scale

_FRAME = RATE // 100  # 10 ms
_QUIETEST = 1e-4  # -80 dBFS: below this nothing is heard, so nothing is made louder
_EDGE = 10 ** (-36 / 20)  # quieter than the loudest frame by this much is silence at the edges
_LEAD, _TAIL = 3 * _FRAME, 6 * _FRAME  # kept around the voice, so that no consonant is cut off
_PAUSE = 10 ** (-30 / 20)  # quieter than the voice by this much is a pause of it
_LONGEST_PAUSE = 22 * _FRAME  # of a voice: a long one sounds like a dead line
_FADE = _FRAME // 2
_MIRROR = RATE // 4
_RUMBLE = (80.0, 160.0)  # Hz: nothing below the first passes, all above the second does


def prepare(samples: Samples, rate: int) -> Samples:
    """Prepare a voice for playback: mono, 8000 Hz, no rumble or long pause, SPEECH_LEVEL.

    `samples` is (frames,) or (frames, channels). Empty when nothing is audible.
    """
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    resampled: Samples = soxr.resample(mono, rate, RATE).astype(np.float64)
    if resampled.size < _FRAME:
        return silence(0)
    voice = to_level(_trim(_high_pass(resampled)), SPEECH_LEVEL)
    return np.concatenate([_fade(piece) for piece in _split_at_long_pauses(voice)])


def to_level(samples: Samples, level: float) -> Samples:
    """Scale to an active level of `level` dBFS, or lower so as not to exceed PEAK."""
    if samples.size == 0:
        return samples
    gain = 10 ** ((level - active_level(samples)) / 20)
    return samples * min(gain, PEAK / float(np.abs(samples).max()))


def active_level(samples: Samples) -> float:
    """Return the RMS in dBFS of the active parts, gated as in ITU-R BS.1770.

    Frames that lie more than 10 dB below the mean of all audible ones are pauses: they do not
    count, so a prompt with a long pause is as loud as one without. -inf for silence.
    """
    power = _frame_power(samples)
    audible = power[power > _QUIETEST**2]
    if audible.size == 0:
        return float("-inf")
    active = audible[audible > audible.mean() / 10]
    return float(10 * np.log10(active.mean()))


def to_alaw(samples: Samples) -> bytes:
    """Encode as raw A-law, which Asterisk plays to the trunk without transcoding."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, RATE, format="RAW", subtype="ALAW")
    return encoded.getvalue()


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE))


def hush(seconds: float) -> Samples:
    """Return comfort noise at HUSH_LEVEL, always the same."""
    noise: Samples = np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return _fade(to_level(noise, HUSH_LEVEL))


def _trim(samples: Samples) -> Samples:
    power = _frame_power(samples)
    if power.size == 0 or power.max() <= _QUIETEST**2:
        return samples[:0]
    sounding = np.flatnonzero(power > power.max() * _EDGE**2)
    first, last = int(sounding[0]) * _FRAME, (int(sounding[-1]) + 1) * _FRAME
    return samples[max(first - _LEAD, 0) : last + _TAIL]


def _split_at_long_pauses(samples: Samples) -> list[Samples]:
    """Split at long pauses, of which only the two ends stay."""
    pieces, begin = [], 0
    quiet = 10 ** (active_level(samples) / 20) * _PAUSE
    sounding = np.flatnonzero(_frame_power(samples) > quiet**2)
    for last, following in pairwise(sounding):
        ends, resumes = (int(last) + 1) * _FRAME, int(following) * _FRAME
        if resumes - ends > _LONGEST_PAUSE:
            pieces.append(samples[begin : ends + _LONGEST_PAUSE // 2])
            begin = resumes - _LONGEST_PAUSE // 2
    return [*pieces, samples[begin:]]


def _frame_power(samples: Samples) -> Samples:
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    power: Samples = np.square(frames).mean(axis=1)
    return power


def _high_pass(samples: Samples) -> Samples:
    # Mirrored beyond both ends, as a transform is a circle: else the start would ring in the end.
    mirrored = np.pad(samples, _MIRROR, mode="reflect", reflect_type="odd")
    spectrum = np.fft.rfft(mirrored)
    frequencies = np.fft.rfftfreq(mirrored.size, 1 / RATE)
    passed: Samples = np.fft.irfft(
        spectrum * np.interp(frequencies, _RUMBLE, (0, 1)), mirrored.size
    )
    return passed[_MIRROR:-_MIRROR]


def _fade(samples: Samples) -> Samples:
    faded = samples.copy()
    ramp = np.linspace(0, 1, min(_FADE, faded.size))
    faded[: ramp.size] *= ramp
    faded[faded.size - ramp.size :] *= ramp[::-1]
    return faded
