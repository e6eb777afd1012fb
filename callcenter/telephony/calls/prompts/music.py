"""Music on hold, computed: slow soft chords with a few bells, free of licences.

Every note is laid on a circle of time: what rings on at the end is heard at the beginning, so the
piece loops without a click or a gap.
"""

import numpy as np

from callcenter.telephony.calls.prompts.audio_processing import (
    RATE,
    SPEECH_LEVEL,
    Samples,
    to_level,
)

MUSIC_LEVEL = SPEECH_LEVEL - 12  #: dBFS: quieter than announcements

# One chord every 8 s, as MIDI notes. From A3 upwards: a telephone carries nothing below 300 Hz.
_CHORDS = (
    (57, 60, 64, 65),  # F with a major seventh
    (57, 60, 64, 67),  # A minor with a seventh
    (57, 60, 62, 65),  # D minor with a seventh
    (58, 62, 65, 69),  # B flat with a major seventh
    (60, 64, 67, 69),  # C with a sixth
    (57, 60, 64, 69),  # A minor
    (58, 60, 62, 65),  # B flat with a second
    (60, 62, 67, 72),  # C with a second
)
_CHORD = 8 * RATE
_LENGTH = len(_CHORDS) * _CHORD  # a multiple of 20 ms, so the last packet of a round is full
_OVERTONES = (1.0, 0.4, 0.15)
_BELLS = ((0.5, 2), (2.5, 3), (4.5, 1), (6.0, 2))  # seconds into the chord, note of the chord


def hold_music() -> Samples:
    """Return a minute of calm music at MUSIC_LEVEL, always the same, that loops."""
    piece = np.zeros(_LENGTH)
    for number, chord in enumerate(_CHORDS):
        start = number * _CHORD
        for note in chord:
            _lay(piece, start, _pad(note))
        for seconds, place in _BELLS:
            _lay(piece, start + round(seconds * RATE), _bell(chord[place] + 12))
    return to_level(piece, MUSIC_LEVEL)


def _lay(piece: Samples, start: int, note: Samples) -> None:
    piece[(start + np.arange(note.size)) % piece.size] += note


def _pad(note: int) -> Samples:
    """Return a note with a raised-cosine swell of two chords' length."""
    time = np.arange(2 * _CHORD)
    swell = 0.5 - 0.5 * np.cos(np.pi * time / _CHORD)
    pad: Samples = swell * _tone(note, time.size)
    return pad


def _bell(note: int) -> Samples:
    time = np.arange(4 * RATE) / RATE
    struck = np.minimum(time / 0.03, 1) * np.exp(-time / 0.9)
    bell: Samples = 0.5 * _tone(note, time.size) * struck * np.minimum((4 - time) / 0.5, 1)
    return bell


def _tone(note: int, size: int) -> Samples:
    frequency = 440 * 2 ** ((note - 69) / 12)
    phase = 2 * np.pi * frequency * np.arange(size) / RATE
    overtones = (
        loudness * np.sin(number * phase) for number, loudness in enumerate(_OVERTONES, start=1)
    )
    tone: Samples = np.sum(list(overtones), axis=0)
    return tone
