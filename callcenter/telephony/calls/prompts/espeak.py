"""Synthetic voice: espeak-ng, the only engine available that speaks Kazakh."""

import io
import shutil
import subprocess

import soundfile

from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.telephony.calls.prompts.audio_processing import RATE, Samples, prepare

# Of espeak's female variants f4 keeps most of its sound inside a telephone's 300-3400 Hz (78 %;
# f3 59 %). 145 words a minute, against 175 by default: callers may be in distress.
VARIANT = "f4"
WORDS_A_MINUTE = 145
_TIMEOUT = 30  # seconds for one prompt that takes hundredths of one


class Espeak:
    """The installed espeak-ng. Raises DependencyUnavailable when there is none."""

    def __init__(self) -> None:
        program = shutil.which("espeak-ng")
        if program is None:
            raise DependencyUnavailable("espeak-ng is not installed: install the package espeak-ng")
        self._program = program
        #: version and settings, on which the sound depends
        self.voice = f"{self._run(['--version']).decode().strip()} {VARIANT} {WORDS_A_MINUTE}"

    def say(self, language: str, words: str) -> Samples:
        """Synthesise words, prepared for playback. Raises OperationFailed."""
        options = ["-v", f"{language}+{VARIANT}", "-s", str(WORDS_A_MINUTE), "-b", "1"]
        wave = self._run([*options, "--stdin", "--stdout"], words)
        try:
            samples, rate = soundfile.read(io.BytesIO(wave), dtype="float64")
        except soundfile.LibsndfileError as exc:
            raise OperationFailed(f"espeak-ng gave no sound for {words!r}") from exc
        prepared = prepare(samples, rate)
        if prepared.size < RATE / 10:
            raise OperationFailed(f"espeak-ng was silent for {words!r}")
        return prepared

    def _run(self, arguments: list[str], words: str = "") -> bytes:
        try:
            done = subprocess.run(
                [self._program, *arguments],
                input=words.encode(),
                capture_output=True,
                timeout=_TIMEOUT,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            raise OperationFailed(f"espeak-ng failed ({exc}): run it by hand") from exc
        return done.stdout
