"""Audio formats of recordings, and the facts of a sealed one.

A recording stays in the format that it was sealed in.
"""

from dataclasses import dataclass
from enum import StrEnum

SEALED = ".age"


class Format(StrEnum):
    """An audio format of two channels at 8000 Hz; the value is the suffix of its files."""

    FLAC = "flac"  #: lossless
    OPUS = "opus"  #: in Ogg, two fifths of that size

    @property
    def media_type(self) -> str:
        return "audio/flac" if self is Format.FLAC else "audio/ogg"


@dataclass(frozen=True, slots=True)
class SealedObjectFacts:
    """SHA-256 (hexadecimal) and size of the object and of its audio; the public key."""

    sha256: str
    bytes: int
    audio_sha256: str
    audio_bytes: int
    sealed_to: str


def format_of(store_name: str | None) -> Format:
    """The format of a sealed object of this name; FLAC when there is none."""
    ending = (store_name or "").removesuffix(SEALED).rpartition(".")[2]
    return Format.OPUS if ending == Format.OPUS.value else Format.FLAC
