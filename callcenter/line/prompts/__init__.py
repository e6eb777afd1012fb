"""What callers hear: the prompts as the switch plays them. `callcenter prompts build` makes them.

`texts` holds the words, `build` makes the files, `sound` and `music` are the arithmetic. A
controller needs only `Prompts`.
"""

import json
import re
from pathlib import Path

from callcenter.errors import NotReady
from callcenter.line.prompts.texts import name, names, spelled
from callcenter.settings import Settings

BYTES_A_SECOND = 8000  #: of A-law
MANIFEST = "built.json"  #: beside the languages' folders: what each file was made from
HOLD_MUSIC = "moh/calm"

# A comma ends a sound in a list, an ampersand in the dialplan: Asterisk has no way to escape them.
_PLAYABLE = re.compile(r"/[\w./ +=@~-]*")


class Prompts:
    """Every prompt is there and can be played: `load` has made sure of it."""

    def __init__(self, folder: Path, lengths: dict[str, float], synthetic: list[str]) -> None:
        self._folder = folder
        self._lengths = lengths
        self._synthetic = synthetic

    @classmethod
    def load(cls, settings: Settings) -> "Prompts":
        """The prompts under `settings.prompts`.

        Raises NotReady that names every prompt whose file is missing, empty or unreadable.
        """
        folder = settings.prompts.resolve()
        if _PLAYABLE.fullmatch(str(folder)) is None:
            raise NotReady(f"Asterisk cannot play from {folder}: choose a plainer CALLCENTER_VAR")
        wanted = names()
        sizes = {prompt: _size(folder / f"{prompt}.alaw") for prompt in [*wanted, HOLD_MUSIC]}
        bad = [prompt for prompt, size in sizes.items() if not size]
        if len(bad) == len(sizes):
            raise NotReady(f"no prompts in {folder}: run `callcenter prompts build`")
        if bad:
            raise NotReady(
                f"prompts missing or unreadable in {folder}: {', '.join(bad)}; "
                "run `callcenter prompts build`"
            )
        lengths = {prompt: sizes[prompt] / BYTES_A_SECOND for prompt in wanted}
        return cls(folder, lengths, _synthetic(folder))

    def sound(self, language: str, prompt: str) -> str:
        """What ARI's play takes. Raises AskedWrongly when there is no such prompt."""
        return f"sound:{self._folder}/{name(language, prompt)}"

    def length(self, language: str, prompt: str) -> float:
        """Seconds. Raises AskedWrongly when there is no such prompt."""
        return self._lengths[name(language, prompt)]

    def digits(self, language: str, keys: str) -> list[str]:
        """What ARI's play takes to say a number digit by digit, with pauses between groups.

        Raises AskedWrongly when `keys` has anything but digits, `*` and `#`.
        """
        return [self.sound(language, prompt) for prompt in spelled(keys)]

    def synthetic(self) -> list[str]:
        """The names LANGUAGE/ID still spoken by a machine, in the order of the texts."""
        return list(self._synthetic)


def _size(path: Path) -> int:
    """Bytes that can really be read; 0 for what is missing, empty or unreadable."""
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
        raise NotReady(
            f"{folder / MANIFEST} is missing or damaged: run `callcenter prompts build`"
        ) from exc
