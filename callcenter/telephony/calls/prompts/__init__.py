"""Prompts as the switch plays them. `callcenter prompts build` makes them.

`texts` has the words, `build` makes the files, `audio_processing` and `music` compute the audio. A
controller needs only `Prompts`.
"""

import json
import re
from pathlib import Path

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.telephony.calls.prompts.texts import name, names, spell_digits

BYTES_A_SECOND = 8000  #: of A-law
MANIFEST = "built.json"  #: beside the folders of languages: the sources of the files
HOLD_MUSIC = "moh/calm"

# A comma ends a sound in a list, an ampersand in the dialplan: Asterisk has no way to escape them.
_PLAYABLE = re.compile(r"/[\w./ +=@~-]*")


class Prompts:
    """Built prompts; `load` checks that each can be played."""

    def __init__(self, folder: Path, lengths: dict[str, float], synthetic: list[str]) -> None:
        self._folder = folder
        self._lengths = lengths
        self._synthetic = synthetic

    @classmethod
    def load(cls, settings: Settings) -> "Prompts":
        """Load the prompts under `settings.prompts`.

        Raises DependencyUnavailable that names every prompt whose file is missing, empty or
        unreadable."""
        folder = settings.prompts.resolve()
        if _PLAYABLE.fullmatch(str(folder)) is None:
            raise DependencyUnavailable(
                f"Asterisk cannot play from {folder}: choose a plainer CALLCENTER_VAR"
            )
        prompt_names = names()
        sizes = {prompt: _size(folder / f"{prompt}.alaw") for prompt in [*prompt_names, HOLD_MUSIC]}
        bad = [prompt for prompt, size in sizes.items() if not size]
        if len(bad) == len(sizes):
            raise DependencyUnavailable(f"no prompts in {folder}: run `callcenter prompts build`")
        if bad:
            raise DependencyUnavailable(
                f"prompts missing or unreadable in {folder}: {', '.join(bad)}; "
                "run `callcenter prompts build`"
            )
        lengths = {prompt: sizes[prompt] / BYTES_A_SECOND for prompt in prompt_names}
        return cls(folder, lengths, _synthetic(folder))

    def sound(self, language: str, prompt: str) -> str:
        """Return the media URI for ARI. Raises InvalidRequest for an unknown prompt."""
        return f"sound:{self._folder}/{name(language, prompt)}"

    def length(self, language: str, prompt: str) -> float:
        """Return the length in seconds. Raises InvalidRequest for an unknown prompt."""
        return self._lengths[name(language, prompt)]

    def digits(self, language: str, keys: str) -> list[str]:
        """Return the media URIs of a number, digit by digit, with pauses between groups.

        Raises InvalidRequest when `keys` has anything but digits, `*` and `#`.
        """
        return [self.sound(language, prompt) for prompt in spell_digits(keys)]

    def synthetic(self) -> list[str]:
        """Return the names LANGUAGE/ID with a synthetic voice, in the order of the texts."""
        return list(self._synthetic)


def _size(path: Path) -> int:
    """Return the readable bytes; 0 when missing, empty or unreadable."""
    try:
        with path.open("rb") as file:
            return path.stat().st_size if file.read(1) else 0
    except OSError:
        return 0


def _synthetic(folder: Path) -> list[str]:
    try:
        built = json.loads((folder / MANIFEST).read_text("utf-8"))
        return [prompt for prompt in names() if built[prompt]["source"] == "synthetic"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DependencyUnavailable(
            f"{folder / MANIFEST} is missing or damaged: run `callcenter prompts build`"
        ) from exc
