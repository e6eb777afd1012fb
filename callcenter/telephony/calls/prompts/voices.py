"""Human voices: LANGUAGE/ID.wav (or .flac) in `settings.voices` replace a prompt.

These files are added by hand, so each is validated.
"""

import struct
from pathlib import Path

import numpy as np
import soundfile

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.calls.prompts.audio_processing import RATE, Samples, prepare
from callcenter.telephony.calls.prompts.texts import texts

SHORTEST, LONGEST = 0.2, 120.0  #: seconds: of sound, and of the file
_RATES = range(RATE, 192_001)


class UnusableVoice(InvalidRequest):
    """A recording of a human voice cannot be used."""


def find_voices(folder: Path) -> dict[str, Path]:
    """Find recordings by name LANGUAGE/ID; other kinds of files are ignored.

    Raises InvalidRequest that names every recording of an unknown prompt (a mistyped id would
    otherwise silently replace nothing) and every prompt that is there twice, or the folder when it
    cannot be read.
    """
    voices: dict[str, Path] = {}
    wrong = []
    for path in (path for language in CALLER_LANGUAGES for path in _recordings(folder / language)):
        voice = f"{path.parent.name}/{path.stem}"
        if path.stem not in texts():
            wrong.append(f"{path.parent.name}/{path.name} (no prompt has this id)")
        elif voice in voices:
            wrong.append(f"{path.parent.name}/{path.name} (there is {voices[voice].name} too)")
        else:
            voices[voice] = path
    if wrong:
        raise InvalidRequest(f"rename or remove these recordings in {folder}: {', '.join(wrong)}")
    return voices


def read_voice(path: Path) -> Samples:
    """Read a recording of any rate, mono or stereo, prepared for playback.

    Raises UnusableVoice that names the file and what is wrong with it.
    """
    try:
        samples, rate = _read(path)
    except (OSError, soundfile.LibsndfileError) as exc:
        raise UnusableVoice(f"{path}: not a sound file that can be read") from exc
    if not np.isfinite(samples).all():
        raise UnusableVoice(f"{path}: damaged: some of its samples are not numbers")
    prepared = prepare(samples, rate)
    if prepared.size < SHORTEST * RATE:
        raise UnusableVoice(f"{path}: too short or silent: less than {SHORTEST} s to hear")
    return prepared


def _recordings(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise InvalidRequest(
            f"cannot read the folder of recordings {folder}: {exc.strerror}"
        ) from exc
    return [path for path in files if path.suffix.lower() in (".wav", ".flac")]


def _read(path: Path) -> tuple[Samples, int]:
    if not path.is_file():
        raise UnusableVoice(f"{path}: not a file")
    _refuse_cut_short(path)
    with soundfile.SoundFile(path) as file:
        # Before any sample is read: a header may promise more than memory holds.
        if file.samplerate not in _RATES or file.channels > 2:
            raise UnusableVoice(
                f"{path}: {file.samplerate} Hz and {file.channels} channels: "
                f"save it with {_RATES[0]}-{_RATES[-1]} Hz, mono or stereo"
            )
        if file.frames > LONGEST * file.samplerate:
            raise UnusableVoice(f"{path}: longer than {LONGEST:.0f} s")
        samples = file.read(dtype="float64")
        if len(samples) < file.frames:
            raise UnusableVoice(f"{path}: cut short: copy it again")
        return samples, file.samplerate


def _refuse_cut_short(path: Path) -> None:
    """Raise UnusableVoice for a truncated WAV, which libsndfile reads without an error."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] == b"RIFF" and len(head) == 8:
        promised = struct.unpack("<I", head[4:])[0] + 8
        if promised > path.stat().st_size:
            raise UnusableVoice(f"{path}: cut short: copy it again")
