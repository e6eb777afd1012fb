"""In which format recordings are kept, and what is known of a sealed one.

Whatever a recording was sealed in, it stays in.
"""

from dataclasses import dataclass
from enum import StrEnum

SEALED = ".age"


class Format(StrEnum):
    """Both in two channels, 8000 Hz; the word is the ending of a file's name."""

    FLAC = "flac"  #: lossless
    OPUS = "opus"  #: in Ogg, two fifths of that size

    @property
    def media_type(self) -> str:
        return "audio/flac" if self is Format.FLAC else "audio/ogg"


@dataclass(frozen=True, slots=True)
class Sealed:
    """SHA-256 (hexadecimal) and size of the object and of the audio in it; the public key."""

    sha256: str
    bytes: int
    audio_sha256: str
    audio_bytes: int
    sealed_to: str


def format_of(store_name: str | None) -> Format:
    """The format of what is sealed in an object of this name; FLAC when there is none."""
    ending = (store_name or "").removesuffix(SEALED).rpartition(".")[2]
    return Format.OPUS if ending == Format.OPUS.value else Format.FLAC
