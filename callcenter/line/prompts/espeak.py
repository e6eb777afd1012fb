"""The synthetic voice: espeak-ng, the only engine at hand that speaks Kazakh."""

import io
import shutil
import subprocess

import soundfile

from callcenter.errors import NotReady, WeFailed
from callcenter.line.prompts.sound import RATE, Samples, prepare

# Of espeak's female variants f4 keeps most of its sound inside a telephone's 300-3400 Hz (78 %;
# f3 59 %). 145 words a minute, against 175 by default: callers may be in distress.
VARIANT = "f4"
WORDS_A_MINUTE = 145
_TIMEOUT = 30  # seconds for one prompt that takes hundredths of one


class Espeak:
    """espeak-ng of this machine. Raises NotReady when there is none."""

    def __init__(self) -> None:
        program = shutil.which("espeak-ng")
        if program is None:
            raise NotReady("espeak-ng is not installed: install the package espeak-ng")
        self._program = program
        #: what the sound depends on beside the words
        self.voice = f"{self._run(['--version']).decode().strip()} {VARIANT} {WORDS_A_MINUTE}"

    def say(self, language: str, words: str) -> Samples:
        """The words as they are played (see `sound.prepare`). Raises WeFailed."""
        options = ["-v", f"{language}+{VARIANT}", "-s", str(WORDS_A_MINUTE), "-b", "1"]
        wave = self._run([*options, "--stdin", "--stdout"], words)
        try:
            samples, rate = soundfile.read(io.BytesIO(wave), dtype="float64")
        except soundfile.LibsndfileError as exc:
            raise WeFailed(f"espeak-ng gave no sound for {words!r}") from exc
        prepared = prepare(samples, rate)
        if prepared.size < RATE / 10:
            raise WeFailed(f"espeak-ng was silent for {words!r}")
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
            raise WeFailed(f"espeak-ng failed ({exc}): try it by hand") from exc
        return done.stdout
