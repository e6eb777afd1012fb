"""The manifest of a bundle, and its sums for `sha256sum --check`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from callcenter.platform.core.timezone import ZONE

FORMAT = "callcenter-disclosure-1"
AUDIO = "FLAC, or Opus in Ogg, 8000 Hz; left channel: the caller, right channel: the consultant"


@dataclass(frozen=True)
class CustodyEntry:
    """One link of the chain of custody: an event of a recording, its time, author and reason."""

    at: str
    what: str
    who: str
    why: str


@dataclass(frozen=True)
class DisclosedRecording:
    """A recording in the bundle. Times are ISO 8601 with the offset of Asia/Almaty."""

    file: str
    sha256: str
    bytes: int
    appeal: str
    consultant: str | None
    began_at: str
    ended_at: str
    length_ms: int
    custody: list[CustodyEntry]


def local(moment: datetime) -> str:
    """A moment in the manifest's format."""
    return moment.astimezone(ZONE).isoformat(timespec="seconds")


def manifest(about: Mapping[str, str], recordings: Sequence[DisclosedRecording]) -> bytes:
    """The manifest: the same bytes for the same disclosure, whenever it is made."""
    content = {
        "format": FORMAT,
        **about,
        "audio": AUDIO,
        "recordings": [asdict(each) for each in recordings],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def sums(digests: Mapping[str, str]) -> bytes:
    """SHA-256 in hexadecimal by name of the file, as `sha256sum --check` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
